mod admission;
mod compiling;
mod costs;
mod evaluation;
mod hostile;
