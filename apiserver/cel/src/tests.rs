mod authorizer;
mod compiling;
mod costs;
mod evaluation;
mod hostile;
