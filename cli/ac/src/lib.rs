//! The command line for a fleet: everything kubectl does, on any cluster of a platform, and the platform's own verbs.
//!
//! `run` is the whole program: surroundings and arguments in, exit code out. Sign-in, reading, applying, deleting,
//! logs and exec are native; every other verb runs the `kubectl` found on `PATH` under the same context. Nothing here
//! reads the environment or exits the process.

pub mod args;
pub mod browser;
pub mod commands;
pub mod connect;
pub mod credentials;
pub mod discovery;
pub mod env;
pub mod error;
pub mod http;
pub mod kubeconfig;
pub mod loopback;
pub mod names;
pub mod oauth;
pub mod output;
pub mod platform;
pub mod qr;
pub mod resource;
pub mod session;
pub mod text;
pub mod trust;
pub mod ui;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use args::{Cli, Command};
use commands::{Cx, kubectl};
use env::Environment;
use error::{Error, Exit, Result};
use text::{Lang, Text};
use ui::Ui;

/// Runs one command line and answers the exit code.
pub fn run(env: Environment, arguments: Vec<OsString>) -> i32 {
    if let Some(code) = commands::completion::answer(&env, &arguments) {
        return code;
    }
    let mut definition = Cli::command();
    if Lang::from_env(&env) == Lang::Zh {
        definition = text::translate(definition);
    }
    let parsed = definition.clone().try_get_matches_from(&arguments).and_then(|m| Cli::from_arg_matches(&m));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return unparsed(&env, &arguments, &error),
    };
    let ui = Ui::new(&env, cli.global.quiet, cli.global.color);
    let result = Cx::new(env, ui.clone(), &cli.global, arguments).and_then(|cx| dispatch(&cx, cli.command));
    match result {
        Ok(code) => code,
        Err(error) => {
            ui.error(&error);
            error.exit_code()
        }
    }
}

/// Help and versions are answers. A flag of kubectl's that we do not have makes the command kubectl's.
fn unparsed(env: &Environment, arguments: &[OsString], error: &clap::Error) -> i32 {
    let shared = kubectl::is_shared(arguments);
    let flag = matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidValue)
        || (shared && matches!(error.kind(), ErrorKind::MissingRequiredArgument));
    if flag && shared && env.find_program("kubectl").is_some() {
        let (global, quiet) = kubectl::globals(arguments);
        let ui = Ui::new(env, quiet, ui::ColorChoice::Auto);
        let run = Cx::new(env.clone(), ui.clone(), &global, arguments.to_vec())
            .and_then(|cx| kubectl::pass_through(&cx, &arguments[1..]));
        return run.unwrap_or_else(|error| {
            ui.error(&error);
            error.exit_code()
        });
    }
    // Nowhere to report a closed terminal to.
    let _ = error.print();
    if shared && error.kind() == ErrorKind::UnknownArgument {
        let ui = Ui::new(env, false, ui::ColorChoice::Auto);
        ui.err_line(&format!("hint: {}", Text::HintKubectlFlag {}.render(ui.lang())));
    }
    match error.exit_code() {
        0 => 0,
        _ if shared => Exit::Failure as i32,
        _ => Exit::Usage as i32,
    }
}

fn dispatch(cx: &Cx, command: Command) -> Result<i32> {
    match command {
        Command::Completion { shell } => commands::completion::script(cx, shell),
        Command::Plugin(args::Plugin::List { name_only }) => kubectl::list_plugins(cx, name_only),
        Command::Namespace { name } => commands::session::namespace(cx, name.as_deref()),
        Command::Config(args::Config::GetSessions) => commands::session::get_sessions(cx),
        Command::Config(args::Config::UseSession { name }) => commands::session::use_session(cx, &name),
        Command::Config(args::Config::UseCluster { name }) => commands::session::use_cluster(cx, &name),
        Command::Config(args::Config::Other(_)) | Command::Auth(args::Auth::Other(_)) | Command::Other(_) => {
            kubectl::other(cx)
        }
        Command::Version(version) if version.client => commands::version::client_only(cx, &version),
        command => wait(cx, command),
    }
}

/// The commands that talk to a server. One thread does: what takes time is the network.
fn wait(cx: &Cx, command: Command) -> Result<i32> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::told(Text::NoRuntime {}).because(error))?;
    let result = runtime.block_on(async {
        match command {
            Command::Login(login) => commands::login::login(cx, &login).await,
            Command::Logout(logout) => commands::login::logout(cx, logout.all).await,
            Command::GetToken(get) => commands::session::get_token(cx, get).await,
            Command::Whoami(whoami) => commands::session::whoami(cx, &whoami).await,
            Command::Sessions(sessions) => commands::identity::sessions(cx, &sessions, jiff::Timestamp::now()).await,
            Command::SecondFactor(factor) => commands::second_factor::second_factor(cx, &factor).await,
            Command::Tokens(tokens) => commands::identity::tokens(cx, &tokens, jiff::Timestamp::now()).await,
            Command::Adm(adm) => administer(cx, &adm).await,
            Command::Auth(args::Auth::Explain(explain)) => commands::rights::explain(cx, &explain).await,
            Command::Auth(args::Auth::WhoCan(who)) => commands::rights::who_can(cx, &who, jiff::Timestamp::now()).await,
            Command::Search(search) => commands::search::search(cx, &search, jiff::Timestamp::now()).await,
            Command::Config(args::Config::Sync { all }) => commands::login::sync(cx, all).await,
            Command::Version(version) => commands::version::version(cx, &version).await,
            Command::Get(get) => commands::get::get(cx, &get).await,
            Command::Apply(apply) => commands::apply::apply(cx, &apply).await,
            Command::Delete(delete) => commands::delete::delete(cx, &delete).await,
            Command::Logs(logs) => commands::logs::logs(cx, &logs).await,
            Command::Exec(exec) => commands::exec::exec(cx, &exec).await,
            Command::ApiResources(resources) => commands::api_resources::api_resources(cx, &resources).await,
            Command::Import(args::Import::Cluster(import)) => commands::clusters::import(cx, &import).await,
            Command::Register(args::Register::Cluster(register)) => commands::clusters::register(cx, &register).await,
            Command::Completion { .. }
            | Command::Plugin(_)
            | Command::Namespace { .. }
            | Command::Config(_)
            | Command::Auth(args::Auth::Other(_))
            | Command::Other(_) => unreachable!("answered without a server"),
        }
    });
    // A read of standard input may hang in its thread for ever; the process is about to end.
    runtime.shutdown_background();
    result
}

async fn administer(cx: &Cx, command: &args::Adm) -> Result<i32> {
    use args::Adm;
    use commands::projects;
    match command {
        Adm::Users(users) => commands::identity::users(cx, users).await,
        Adm::NewProject(args) => projects::new_project(cx, args).await,
        Adm::NewProjectNamespace(args) => projects::new_namespace(cx, args).await,
        Adm::DeleteProject(args) => projects::delete(cx, args).await,
        Adm::AddProjectCluster(args) => projects::add_clusters(cx, args).await,
        Adm::RemoveProjectCluster(args) => projects::remove_clusters(cx, args).await,
        Adm::SetProjectQuota(args) => projects::set_quota(cx, args).await,
        Adm::Policy(policy) => commands::policy::policy(cx, policy, jiff::Timestamp::now()).await,
        Adm::Detach(args) => commands::clusters::detach(cx, args).await,
        Adm::Certificate(command) => commands::certificates::decide(cx, command, jiff::Timestamp::now()).await,
        Adm::Fleet(args) => commands::fleet::fleet(cx, args, jiff::Timestamp::now()).await,
        Adm::RotateAuthority(args) => commands::authority::rotate(cx, args, jiff::Timestamp::now()).await,
        Adm::UpgradeAgents(args) => commands::upgrade::upgrade(cx, args, jiff::Timestamp::now()).await,
        Adm::SupportMatrix(list) => commands::support::matrix(cx, list, jiff::Timestamp::now()).await,
        Adm::Cordon(nodes) => commands::nodes::cordon(cx, nodes, true).await,
        Adm::Uncordon(nodes) => commands::nodes::cordon(cx, nodes, false).await,
        Adm::Drain(drain) => commands::nodes::drain(cx, drain).await,
        Adm::Taint(taint) => commands::nodes::taint(cx, taint).await,
    }
}
