//! Everything that is not native: plugins, then the `kubectl` found on `PATH`, under the same context.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::Cx;
use crate::args::{Cli, Global};
use crate::env::is_executable;
use crate::error::{Error, Exit, Result};
use crate::resource::{routed, routing_note};
use crate::session::GLOBAL;
use crate::text::Text;

/// Verbs that both of us have; a flag that only kubectl knows makes the command kubectl's.
const SHARED: &[&str] = &["get", "apply", "delete", "logs", "log", "exec", "api-resources", "version"];
/// What `auth` does here and not there.
const OURS_OF_AUTH: &[&str] = &["explain", "who-can", "help"];
/// kubectl's words.
const KUBECTLS: &[&str] = &[
    "annotate",
    "api-versions",
    "attach",
    "autoscale",
    "certificate",
    "cluster-info",
    "cordon",
    "cp",
    "create",
    "debug",
    "describe",
    "diff",
    "drain",
    "edit",
    "events",
    "explain",
    "expose",
    "kustomize",
    "label",
    "options",
    "patch",
    "port-forward",
    "proxy",
    "replace",
    "rollout",
    "run",
    "scale",
    "set",
    "taint",
    "top",
    "uncordon",
    "wait",
];
/// Verbs whose first argument is a type, so that they can be about a resource of the hub.
const TYPED: &[&str] = &["annotate", "delete", "describe", "edit", "get", "label", "patch", "wait"];
/// Global flags that take the next argument as their value.
const VALUED: &[&str] = &[
    "--session",
    "--cluster",
    "--context",
    "--namespace",
    "-n",
    "--kubeconfig",
    "--config",
    "--color",
    "--v",
    "-v",
    "--request-timeout",
    "--user",
    "--server",
    "-s",
    "--token",
    "--as",
    "--as-group",
    "--as-uid",
    "--cache-dir",
    "--certificate-authority",
    "--client-certificate",
    "--client-key",
    "--tls-server-name",
    "--profile",
];

/// Whether a word is a command of ours, which a plugin cannot take over.
fn is_ours(word: &str) -> bool {
    let commands = Cli::command();
    word == "help"
        || commands.get_subcommands().any(|one| one.get_name() == word || one.get_all_aliases().any(|it| it == word))
}

/// The positions of arguments that are not global flags or their values.
fn positionals(arguments: &[OsString]) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(argument) = arguments.get(at) {
        match argument.to_str() {
            Some("--") => break,
            Some(flag) if VALUED.contains(&flag) => at += 1,
            Some(flag) if flag.starts_with('-') => {}
            Some(word) => found.push((at, word)),
            None => {}
        }
        at += 1;
    }
    found
}

/// The first word of a command line whose first argument is the program.
pub fn verb(arguments: &[OsString]) -> Option<String> {
    positionals(arguments.get(1..)?).first().map(|(_, word)| (*word).to_owned())
}

/// Whether kubectl has the command too. Of `auth` it has all forms but ours.
pub fn is_shared(arguments: &[OsString]) -> bool {
    let words = positionals(arguments.get(1..).unwrap_or_default());
    match words.as_slice() {
        [(_, "auth"), (_, form), ..] => !OURS_OF_AUTH.contains(form),
        [(_, verb), ..] => SHARED.contains(verb),
        [] => false,
    }
}

/// The flags of ours in a command line that clap could not read, and whether it asked for quiet.
pub fn globals(arguments: &[OsString]) -> (Global, bool) {
    let (rest, ours) = separate(arguments.get(1..).unwrap_or_default());
    let quiet = ours.quiet;
    let value = |names: &[&str]| flag_value(&rest, names);
    let global = Global {
        session: ours.session,
        cluster: ours.cluster,
        context: value(&["--context"]),
        namespace: value(&["--namespace", "-n"]),
        kubeconfig: value(&["--kubeconfig"]).map(PathBuf::from),
        config: ours.config.map(PathBuf::from),
        quiet,
        ..Global::default()
    };
    (global, quiet)
}

fn flag_value(arguments: &[OsString], names: &[&str]) -> Option<String> {
    let mut words = arguments.iter().map_while(|argument| argument.to_str().filter(|word| *word != "--"));
    while let Some(word) = words.next() {
        if names.contains(&word) {
            return words.next().map(str::to_owned);
        }
        if let Some((name, value)) = word.split_once('=')
            && names.contains(&name)
        {
            return Some(value.to_owned());
        }
    }
    None
}

/// Flags that kubectl does not have, or means differently.
#[derive(Debug, Default, PartialEq)]
struct Ours {
    session: Option<String>,
    cluster: Option<String>,
    config: Option<String>,
    quiet: bool,
}

/// Takes our flags out of a command line; what stands behind `--` belongs to somebody else.
fn separate(arguments: &[OsString]) -> (Vec<OsString>, Ours) {
    let (mut rest, mut ours) = (Vec::new(), Ours::default());
    let first = positionals(arguments).first().map_or(arguments.len(), |(at, _)| *at);
    let mut at = 0;
    while let Some(argument) = arguments.get(at) {
        let word = argument.to_str().unwrap_or_default();
        if word == "--" {
            rest.extend_from_slice(&arguments[at..]);
            break;
        }
        let (name, inline) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value.to_owned())));
        let slot = match name {
            "--session" => Some(&mut ours.session),
            "--cluster" => Some(&mut ours.cluster),
            "--config" => Some(&mut ours.config),
            _ => None,
        };
        if let Some(slot) = slot {
            *slot = match inline {
                Some(value) => Some(value),
                None => {
                    at += 1;
                    arguments.get(at).and_then(|value| value.to_str()).map(str::to_owned)
                }
            };
        } else if name == "--color" {
            at += usize::from(inline.is_none());
        } else if at < first && matches!(word, "-q" | "--quiet") {
            ours.quiet = true;
        } else {
            rest.push(argument.clone());
        }
        at += 1;
    }
    (rest, ours)
}

/// A word that is not ours: a plugin's, else kubectl's.
pub fn other(cx: &Cx) -> Result<i32> {
    let arguments = cx.arguments.get(1..).unwrap_or_default();
    let words = positionals(arguments);
    let is_plain = words.first().is_some_and(|(_, word)| !is_ours(word) && !KUBECTLS.contains(word));
    if is_plain && let Some((program, used)) = find_plugin(cx, arguments, &words) {
        return run_plugin(cx, &program, &arguments[used..]);
    }
    pass_through(cx, arguments)
}

/// The longest plugin name that the leading words spell; `ac-` goes before `kubectl-`.
fn find_plugin(cx: &Cx, arguments: &[OsString], words: &[(usize, &str)]) -> Option<(PathBuf, usize)> {
    let start = words.first()?.0;
    // Words of the name stand together; a flag ends them.
    let together: Vec<String> = arguments[start..]
        .iter()
        .map_while(|argument| argument.to_str().filter(|word| !word.starts_with('-') && !word.contains(['/', '\\'])))
        .map(|word| word.replace('-', "_"))
        .collect();
    (1..=together.len()).rev().find_map(|count| {
        let name = together[..count].join("-");
        ["ac", "kubectl"]
            .iter()
            .find_map(|prefix| cx.env.find_program(&format!("{prefix}-{name}")))
            .map(|program| (program, start + count))
    })
}

fn run_plugin(cx: &Cx, program: &Path, arguments: &[OsString]) -> Result<i32> {
    let mut command = std::process::Command::new(program);
    command.args(arguments);
    if let Ok(target) = cx.connector.target() {
        if let Some(session) = &target.session {
            command.env("AC_SESSION", &session.name);
        }
        command.env("AC_CLUSTER", &target.cluster_name);
    }
    command.env("KUBECONFIG", joined(cx)?);
    run(command, &program.display().to_string())
}

fn joined(cx: &Cx) -> Result<OsString> {
    std::env::join_paths(&cx.connector.paths).map_err(|error| Error::told(Text::NoHome {}).because(error))
}

/// Runs kubectl with the same arguments under the context that our flags select.
pub fn pass_through(cx: &Cx, arguments: &[OsString]) -> Result<i32> {
    let (rest, ours) = separate(arguments);
    if names_clusters(&rest) {
        return Err(Error::usage(Text::NeedsOneCluster {}));
    }
    let words = positionals(&rest);
    let verb = words.first().map(|(_, word)| (*word).to_owned()).unwrap_or_default();
    let program =
        cx.env.find_program("kubectl").ok_or_else(|| Error::told(without_kubectl(&verb)).hint(Text::HintKubectl {}))?;
    let mut command = std::process::Command::new(program);
    let context = selected_context(cx, &rest, &ours, &words)?;
    if let Some(context) = context {
        command.arg("--context").arg(context);
    }
    command.args(without_context(&rest, ours.cluster.is_some() || ours.session.is_some()));
    if ours.config.is_some() || cx.global.kubeconfig.is_some() {
        command.env("KUBECONFIG", joined(cx)?);
    }
    run(command, "kubectl")
}

/// What kubectl would be needed for.
fn without_kubectl(verb: &str) -> Text {
    let verb = verb.to_owned();
    match () {
        () if KUBECTLS.contains(&verb.as_str()) => Text::NoKubectl { verb },
        () if is_ours(&verb) => Text::NoKubectlForForm { verb },
        () => Text::UnknownCommand { verb },
    }
}

/// Whether a command line reads from several clusters, which kubectl cannot.
fn names_clusters(arguments: &[OsString]) -> bool {
    let mut words = arguments.iter().map_while(|argument| argument.to_str().filter(|word| *word != "--"));
    words.any(|word| {
        let name = word.split_once('=').map_or(word, |(name, _)| name);
        matches!(name, "--all-clusters" | "--clusters" | "--ignore-errors")
    })
}

/// When `--cluster` or `--session` chose the context, an earlier `--context` has served its purpose.
fn without_context(arguments: &[OsString], chosen: bool) -> Vec<OsString> {
    if !chosen {
        return arguments.to_vec();
    }
    let (mut rest, mut at) = (Vec::new(), 0);
    while let Some(argument) = arguments.get(at) {
        match argument.to_str() {
            Some("--") => {
                rest.extend_from_slice(&arguments[at..]);
                break;
            }
            Some("--context") => at += 1,
            Some(word) if word.starts_with("--context=") => {}
            _ => rest.push(argument.clone()),
        }
        at += 1;
    }
    rest
}

fn selected_context(cx: &Cx, rest: &[OsString], ours: &Ours, words: &[(usize, &str)]) -> Result<Option<String>> {
    let mut connector = cx.connector.clone();
    connector.selection.session = ours.session.clone();
    connector.selection.cluster = ours.cluster.clone();
    connector.selection.context = flag_value(rest, &["--context"]);
    if ours.session.is_some() || ours.cluster.is_some() {
        let target = connector.target()?;
        return match target.context {
            Some(context) => Ok(Some(context)),
            None => Err(Error::told(Text::NoContextFor { cluster: target.cluster_name.clone() })
                .hint(Text::HintUseCluster { cluster: target.cluster_name })),
        };
    }
    // kubectl would look for a resource of the hub where the context points.
    let verb = words.first().map(|(_, word)| *word).unwrap_or_default();
    let Some(resource) = words.get(1).filter(|_| TYPED.contains(&verb)) else { return Ok(None) };
    let word = resource.1.split(['/', ',']).next().unwrap_or_default();
    let Some(found) = routed(word) else { return Ok(None) };
    let Ok(target) = connector.target() else { return Ok(None) };
    let Some(session) = target.session.as_ref().filter(|_| target.cluster_name != GLOBAL) else { return Ok(None) };
    let hub = connector.in_session(&connector.config()?, session, GLOBAL)?;
    cx.ui.raw_note(&routing_note(found.plural));
    Ok(hub.context)
}

/// Runs a program in our place: same terminal, same streams, its exit code is ours.
fn run(mut command: std::process::Command, name: &str) -> Result<i32> {
    let failed = |error: std::io::Error| Error::told(Text::CouldNotRun { program: name.to_owned() }).because(error);
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // Signals and job control then work exactly as if the program had been called by itself.
        Err(failed(command.exec()))
    }
    #[cfg(not(unix))]
    {
        let status = command.status().map_err(failed)?;
        Ok(status.code().unwrap_or(1))
    }
}

/// Lists plugins in the order in which they would be found, with a warning for each that cannot be.
pub fn list_plugins(cx: &Cx, name_only: bool) -> Result<i32> {
    let mut seen: Vec<String> = Vec::new();
    let mut warnings = 0;
    let mut lines = Vec::new();
    for dir in cx.env.path_dirs() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        let mut names: Vec<OsString> = entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
        names.sort();
        for name in names.iter().filter_map(|name| name.to_str()) {
            let Some(words) = name.strip_prefix("ac-").or_else(|| name.strip_prefix("kubectl-")) else { continue };
            let path = dir.join(name);
            if !path.is_file() {
                continue;
            }
            lines.push(if name_only { name.to_owned() } else { path.display().to_string() });
            let warning = if !is_executable(&path) {
                Some(Text::PluginNotExecutable { path: path.display().to_string() })
            } else if seen.iter().any(|known| known == words) {
                Some(Text::PluginShadowed { path: path.display().to_string() })
            } else {
                overridden(words).map(|verb| Text::PluginOverrides { path: path.display().to_string(), verb })
            };
            seen.push(words.to_owned());
            if let Some(warning) = warning {
                cx.ui.warn(&warning);
                warnings += 1;
            }
        }
    }
    if lines.is_empty() {
        return Err(Error::told(Text::NoPlugins {}));
    }
    cx.ui.note(&Text::PluginsFollow {});
    cx.ui.out(&(lines.join("\n") + "\n"))?;
    Ok(if warnings > 0 { Exit::Failure as i32 } else { 0 })
}

/// The built-in command that a plugin of this name stands behind. A name is cut at its dashes, and a dash within a word
/// is an underscore. Below a command of kubectl's it is kubectl that looks for plugins.
fn overridden(name: &str) -> Option<String> {
    let (first, alone) = name.split_once('-').map_or((name, true), |(first, _)| (first, false));
    let first = first.replace('_', "-");
    (is_ours(&first) || (alone && KUBECTLS.contains(&first.as_str()))).then_some(first)
}

/// All words that can start a command line, for completion.
pub fn passed_through_verbs() -> &'static [&'static str] {
    KUBECTLS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[track_caller]
    fn check(line: &str, rest: &str, ours: Ours) {
        assert_eq!(separate(&words(line)), (words(rest), ours), "{line}");
    }

    #[test]
    fn our_flags_are_taken_out() {
        let some = |text: &str| Some(text.to_owned());
        check("describe pod a", "describe pod a", Ours::default());
        check("describe --cluster east pod a", "describe pod a", Ours { cluster: some("east"), ..Ours::default() });
        check("--session=s describe pod", "describe pod", Ours { session: some("s"), ..Ours::default() });
        check("-q describe pod", "describe pod", Ours { quiet: true, ..Ours::default() });
        check("attach -q pod", "attach -q pod", Ours::default());
        check("run x -- tool --cluster y", "run x -- tool --cluster y", Ours::default());
        check("--color never -n team top pods", "-n team top pods", Ours::default());
    }

    #[test]
    fn the_verb_is_the_first_word_that_is_no_value() {
        assert_eq!(verb(&words("ac -n team get pods")).as_deref(), Some("get"));
        assert_eq!(verb(&words("ac --namespace=team -v 6 logs x")).as_deref(), Some("logs"));
        assert_eq!(verb(&words("ac --help")), None);
    }

    #[test]
    fn a_flag_that_we_do_not_have_may_be_kubectls() {
        for (line, shared) in [
            ("ac get pods --raw /x", true),
            ("ac auth --as bob can-i get pods", true),
            ("ac auth explain get pods --list", false),
            ("ac auth -n team who-can get pods --list", false),
            ("ac auth", false),
            ("ac search --list", false),
            ("ac", false),
        ] {
            assert_eq!(is_shared(&words(line)), shared, "{line}");
        }
    }

    #[track_caller]
    fn check_plugin(name: &str, verb: Option<&str>) {
        assert_eq!(overridden(name).as_deref(), verb, "{name}");
    }

    #[test]
    fn a_plugin_does_not_take_over_a_command() {
        check_plugin("second_factor", Some("second-factor"));
        check_plugin("log", Some("log"));
        check_plugin("get_token", Some("get-token"));
        check_plugin("help", Some("help"));
        // What would run as `ac adm audit`, if `adm` were not ours.
        check_plugin("adm-audit", Some("adm"));
        check_plugin("port_forward", Some("port-forward"));
        check_plugin("create-tenant", None);
        // `ac api resources`.
        check_plugin("api-resources", None);
        check_plugin("whoareyou", None);
    }

    #[test]
    fn a_fleet_is_not_kubectls() {
        assert!(names_clusters(&words("get pods --all-clusters --template x")));
        assert!(names_clusters(&words("get --clusters=a,b pods")));
        assert!(!names_clusters(&words("run x -- tool --all-clusters")));
    }

    #[test]
    fn a_chosen_cluster_replaces_the_context() {
        assert_eq!(without_context(&words("top pods --context a -n b"), true), words("top pods -n b"));
        assert_eq!(
            without_context(&words("top pods --context=a -- --context b"), true),
            words("top pods -- --context b")
        );
        assert_eq!(without_context(&words("top --context a"), false), words("top --context a"));
    }
}
