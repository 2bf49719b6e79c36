mod compiling;
mod evaluation;
mod hostile;
