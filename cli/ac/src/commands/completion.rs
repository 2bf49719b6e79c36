//! Shell completion: a small script per shell that asks this program, which knows sessions, clusters and kinds.
//!
//! Completion reads files only (kubeconfig, cached discovery), so it is fast and works while a server is away; when
//! something is missing it stays silent.

use std::ffi::{OsStr, OsString};

use clap::CommandFactory;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{Bash, EnvCompleter, Fish, Powershell, Zsh};

use super::{Cx, kubectl};
use crate::args::{Cli, Shell};
use crate::discovery;
use crate::env::Environment;
use crate::error::Result;
use crate::kubeconfig::{self, Kubeconfig, Section};
use crate::names::{self, Of};
use crate::session;

/// The variable by which a shell's script asks.
const VARIABLE: &str = "AC_COMPLETE";
/// The roles that come with the platform.
const SHIPPED_ROLES: &[&str] = &[
    "platform-admin-system",
    "platform-auditor-system",
    "cluster-admin-system",
    "project-admin-system",
    "namespace-admin-system",
    "namespace-developer-system",
];

fn completer(shell: &str) -> Option<&'static dyn EnvCompleter> {
    Some(match shell {
        "bash" => &Bash,
        "zsh" => &Zsh,
        "fish" => &Fish,
        "powershell" => &Powershell,
        _ => return None,
    })
}

/// Prints the script for a shell.
pub fn script(cx: &Cx, shell: Shell) -> Result<i32> {
    let name = match shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
        Shell::Powershell => "powershell",
    };
    let mut script = Vec::new();
    if let Some(completer) = completer(name) {
        completer.write_registration(VARIABLE, "ac", "ac", "ac", &mut script)?;
    }
    cx.ui.out(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// Answers a shell that asks for completions; `None` when none does.
pub fn answer(env: &Environment, arguments: &[OsString]) -> Option<i32> {
    let completer = completer(env.var(VARIABLE)?)?;
    // The script puts its own call, then `--`, before the words being typed.
    let at = arguments.iter().position(|argument| argument == "--").map_or(arguments.len(), |at| at + 1);
    let mut out = Vec::new();
    let mut command = definition(env);
    command.build();
    let here = std::env::current_dir().ok();
    if completer.write_complete(&mut command, arguments[at..].to_vec(), here.as_deref(), &mut out).is_ok() {
        // A shell that went away needs no completions.
        let _ = std::io::Write::write_all(&mut std::io::stdout(), &out);
    }
    Some(0)
}

/// The command line with what this machine knows about values.
fn definition(env: &Environment) -> clap::Command {
    type Words = fn(&Environment) -> Vec<String>;
    let dynamic = |words: Words| -> ArgValueCompleter {
        let env = env.clone();
        ArgValueCompleter::new(move |typed: &OsStr| {
            let typed = typed.to_str().unwrap_or_default();
            let (done, last) = typed.rfind(',').map_or(("", typed), |at| typed.split_at(at + 1));
            words(&env)
                .into_iter()
                .filter(|word| word.starts_with(last))
                .map(|word| CompletionCandidate::new(format!("{done}{word}")))
                .collect()
        })
    };
    let mut command = Cli::command()
        .mut_arg("session", |arg| arg.add(dynamic(sessions)))
        .mut_arg("cluster", |arg| arg.add(dynamic(clusters)))
        .mut_arg("context", |arg| arg.add(dynamic(contexts)))
        .mut_subcommand("config", |config| {
            config
                .mut_subcommand("use-session", |sub| sub.mut_arg("name", |arg| arg.add(dynamic(sessions))))
                .mut_subcommand("use-cluster", |sub| sub.mut_arg("name", |arg| arg.add(dynamic(clusters))))
        })
        .mut_subcommand("get", |get| {
            get.mut_arg("resources", |arg| arg.add(dynamic(kinds)))
                .mut_arg("clusters", |arg| arg.add(dynamic(clusters)))
        })
        .mut_subcommand("delete", |delete| delete.mut_arg("resources", |arg| arg.add(dynamic(kinds))))
        .mut_subcommand("auth", |auth| named(auth, &dynamic))
        .mut_subcommand("search", |search| named(search, &dynamic))
        .mut_subcommand("adm", |adm| named(adm, &dynamic));
    for verb in kubectl::passed_through_verbs() {
        command = command.subcommand(clap::Command::new(*verb).hide(false));
    }
    command
}

/// The command and those below it, with values for what is called the same everywhere.
fn named(
    mut command: clap::Command,
    dynamic: &impl Fn(fn(&Environment) -> Vec<String>) -> ArgValueCompleter,
) -> clap::Command {
    // All at once: changed one by one, positional arguments would change places.
    command = command.mut_args(|arg| {
        let names = arg.get_value_names().unwrap_or_default();
        match (arg.get_id().as_str(), names.first().map(|name| name.as_str())) {
            (_, Some("PROJECT")) => arg.add(dynamic(projects)),
            ("role", _) => arg.add(dynamic(roles)),
            ("subjects" | "user" | "users" | "groups", _) => arg.add(dynamic(subjects)),
            ("resource" | "kind", _) => arg.add(dynamic(kinds)),
            _ => arg,
        }
    });
    let below: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    below.into_iter().fold(command, |command, name| command.mut_subcommand(name, |sub| named(sub, dynamic)))
}

fn config(env: &Environment) -> Option<Kubeconfig> {
    Kubeconfig::load(&kubeconfig::paths(env, None)).ok()
}

fn sessions(env: &Environment) -> Vec<String> {
    config(env)
        .map(|config| session::all(&config).into_iter().map(|session| session.name).collect())
        .unwrap_or_default()
}

fn clusters(env: &Environment) -> Vec<String> {
    let session = config(env).and_then(|config| session::find(&config, None).ok());
    session.map(|session| session.clusters.into_iter().map(|cluster| cluster.cluster).collect()).unwrap_or_default()
}

/// What commands have seen on the platform of the session.
fn seen(env: &Environment, of: Of) -> Vec<String> {
    let session = config(env).and_then(|config| session::find(&config, None).ok());
    session.map(|session| names::known(env, &session.platform_url, of)).unwrap_or_default()
}

fn projects(env: &Environment) -> Vec<String> {
    seen(env, Of::Projects)
}

fn subjects(env: &Environment) -> Vec<String> {
    seen(env, Of::Subjects)
}

fn roles(env: &Environment) -> Vec<String> {
    let mut roles = seen(env, Of::Roles);
    roles.extend(SHIPPED_ROLES.iter().map(|role| (*role).to_owned()));
    roles.sort();
    roles.dedup();
    roles
}

fn contexts(env: &Environment) -> Vec<String> {
    let entries = config(env).map(|config| config.entries(Section::Contexts)).unwrap_or_default();
    entries.into_iter().map(|(name, _)| name).collect()
}

fn kinds(env: &Environment) -> Vec<String> {
    let server = config(env).and_then(|config| {
        let context = config.entry(Section::Contexts, &config.current_context()?)?;
        let cluster = config.entry(Section::Clusters, context["cluster"].as_str()?)?;
        Some(cluster["server"].as_str()?.to_owned())
    });
    let cached = server.and_then(|server| discovery::read_cached(&discovery::cache_path(env, &server)?));
    let mut kinds: Vec<String> =
        cached.map(|known| known.preferred().into_iter().map(|r| r.qualified()).collect()).unwrap_or_default();
    kinds.extend(["clusters", "projects", "roletemplates", "userbindings"].map(str::to_owned));
    kinds.sort();
    kinds.dedup();
    kinds
}
