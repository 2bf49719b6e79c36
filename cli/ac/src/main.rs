//! Entry point of `ac`: reads the process's surroundings, runs, exits.

fn main() {
    let code = ac::run(ac::env::Environment::of_process(), std::env::args_os().collect());
    std::process::exit(code);
}
