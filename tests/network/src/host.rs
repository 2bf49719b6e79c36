//! A machine: a network of its own with one device in it, and its own idea of which names have which addresses.
//!
//! It is a pair of namespaces that a process holds. The process ends when the test does, however that ends, and with the
//! last process in them the namespaces are gone: nothing of a test has to be cleared away.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio_tun::Tun;

use crate::router::{Port, Router};

/// The device that leads to all others.
const DEVICE: &str = "wire";

/// Waits for the end of its input, which a test holds.
const HOLD: &str = r#"ip link set lo up && mount --bind "$0" /etc/hosts && echo ready && exec cat"#;

/// One machine.
pub struct Host {
    holder: Child,
    names: PathBuf,
    address: Mutex<Ipv4Addr>,
    pub(crate) port: Port,
}

impl Host {
    pub(crate) fn start(router: &Router, names: PathBuf, address: Ipv4Addr) -> Self {
        fs::write(&names, "127.0.0.1 localhost\n").expect("the names can be written");
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "--", "sh", "-c", HOLD])
            .arg(&names)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare can be started");
        let mut said = String::new();
        let out = holder.stdout.take().expect("the output is a pipe");
        BufReader::new(out).read_line(&mut said).expect("the output is text");
        assert_eq!(said.trim(), "ready", "namespaces can be made: that takes root");
        let device = inside(holder.id(), || {
            let _runtime = router.runtime().enter();
            let made = Tun::builder().name(DEVICE).build().expect("a TUN device can be made");
            made.into_iter().next().expect("there is one")
        });
        let host = Self { holder, names, address: address.into(), port: router.attach(device, address) };
        host.configure(address);
        host
    }

    /// Its address now.
    pub fn address(&self) -> Ipv4Addr {
        *self.address.lock().expect("nobody panics with it")
    }

    /// A program that will run here. It ends with the test's thread.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let launcher = self.launcher();
        let mut command = Command::new(&launcher[0]);
        command.args(&launcher[1..]).arg(program);
        command
    }

    /// What to put before a program's name so that it runs here.
    pub fn launcher(&self) -> Vec<String> {
        let space = |kind: &str, file: &str| format!("--{kind}=/proc/{}/ns/{file}", self.holder.id());
        let end = ["setpriv", "--pdeathsig", "KILL", "--"].map(str::to_owned);
        [&["nsenter".to_owned(), space("net", "net"), space("mount", "mnt")], &end[..]].concat()
    }

    /// Runs something that opens sockets, here.
    pub fn inside<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        inside(self.holder.id(), run)
    }

    /// From now on this thread, and those that it starts, are in this host's network.
    pub(crate) fn enter(&self) {
        enter(self.holder.id());
    }

    /// What it takes names for.
    pub fn name(&self, names: &[(&str, Ipv4Addr)]) {
        let lines = names.iter().map(|(name, address)| format!("{address} {name}\n"));
        let text = ["127.0.0.1 localhost\n".to_owned()].into_iter().chain(lines).collect::<String>();
        // In place: the file that is mounted is this one.
        fs::write(&self.names, text).expect("the names can be written");
    }

    /// Nothing leaves it and nothing comes, and nobody is told: as when a cable is pulled.
    pub fn unplug(&self) {
        self.ip(&["link", "set", DEVICE, "down"]);
    }

    pub fn plug(&self) {
        self.configure(self.address());
    }

    pub(crate) fn readdress(&self, router: &Router, address: Ipv4Addr) {
        let old = std::mem::replace(&mut *self.address.lock().expect("nobody panics with it"), address);
        self.ip(&["address", "flush", "dev", DEVICE]);
        self.configure(address);
        router.readdress(self.port, old, address);
    }

    fn configure(&self, address: Ipv4Addr) {
        self.ip(&["address", "replace", &address.to_string(), "dev", DEVICE]);
        self.ip(&["link", "set", DEVICE, "up"]);
        self.ip(&["route", "replace", "default", "dev", DEVICE]);
    }

    fn ip(&self, arguments: &[&str]) {
        let done = self.command("ip").args(arguments).output().expect("ip can be started");
        assert!(done.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// A folder that nobody else has.
    pub fn folder(&self) -> &Path {
        self.names.parent().expect("the names lie in a folder")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Its input ends with it.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn inside<T: Send>(process: u32, run: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(process);
            run()
        });
        thread.join().expect("the work in a host succeeds")
    })
}

fn enter(process: u32) {
    let network = File::open(format!("/proc/{process}/ns/net")).expect("a namespace has a link");
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
        .expect("entering a namespace: as root");
}
