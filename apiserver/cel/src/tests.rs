mod admission;
mod compiling;
mod evaluation;
mod hostile;
