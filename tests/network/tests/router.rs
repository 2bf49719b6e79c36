//! That the network does what the other tests say that it does.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use network::{Host, Path, play};

/// So long the far end of a packet that is lost is waited for. Beyond the delays below.
const PATIENCE: Duration = Duration::from_millis(500);

/// Two sockets, each on its host.
struct Pair {
    near: UdpSocket,
    far: UdpSocket,
    far_address: SocketAddr,
}

impl Pair {
    fn of(near: &Host, far: &Host) -> Self {
        let open = |host: &Host| {
            let address = host.address();
            let socket = host.inside(|| UdpSocket::bind((address, 7000))).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        };
        Self { near: open(near), far: open(far), far_address: (far.address(), 7000).into() }
    }

    /// How long a packet is under way, if it arrives.
    fn there(&self) -> Option<Duration> {
        let sent = Instant::now();
        self.near.send_to(b"ping", self.far_address).ok()?;
        self.far.recv_from(&mut [0; 16]).ok().map(|_| sent.elapsed())
    }

    fn back(&self) -> Option<Duration> {
        let sent = Instant::now();
        self.far.send_to(b"pong", self.near.local_addr().unwrap()).ok()?;
        self.near.recv_from(&mut [0; 16]).ok().map(|_| sent.elapsed())
    }
}

#[test]
fn each_direction_fails_on_its_own() {
    play(async |world, person| {
        let other = world.host();
        let pair = Pair::of(&person, &other);
        assert!(pair.there().is_some() && pair.back().is_some());
        world.path(&person, &other, Path::CUT);
        assert!(pair.there().is_none() && pair.back().is_some());
        world.path(&person, &other, Path::default());
        world.path(&other, &person, Path::CUT);
        assert!(pair.there().is_some() && pair.back().is_none());
        world.path(&other, &person, Path::default());
        assert!(pair.there().is_some() && pair.back().is_some());
    });
}

#[test]
fn a_delay_is_as_long_as_it_says() {
    play(async |world, person| {
        let other = world.host();
        let pair = Pair::of(&person, &other);
        let delay = Duration::from_millis(100);
        world.between(&person, &other, Path { delay, ..Path::default() });
        for took in [pair.there(), pair.back(), pair.there(), pair.back()] {
            let took = took.expect("it arrives");
            assert!((delay..3 * delay).contains(&took), "{took:?}");
        }
    });
}

/// All at once, so that the lost ones need not be waited for one by one.
#[test]
fn as_many_packets_are_lost_as_it_says() {
    play(async |world, person| {
        let other = world.host();
        let pair = Pair::of(&person, &other);
        let arrive = |packets: usize| {
            let mut arrived = 0;
            for _ in 0..packets / 50 {
                for _ in 0..50 {
                    pair.near.send_to(b"ping", pair.far_address).unwrap();
                }
                pair.far.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                while pair.far.recv_from(&mut [0; 16]).is_ok() {
                    arrived += 1;
                }
            }
            arrived
        };
        assert_eq!(arrive(500), 500);
        world.path(&person, &other, Path { loss: 0.05, ..Path::default() });
        let lost = 4000 - arrive(4000);
        println!("{lost} of 4000 packets were lost");
        // Of 200, which are 5 %, four standard deviations to each side.
        assert!((145..=255).contains(&lost), "{lost}");
    });
}

#[test]
fn a_host_without_a_cable_is_alone() {
    play(async |world, person| {
        let other = world.host();
        let pair = Pair::of(&person, &other);
        other.unplug();
        assert!(pair.there().is_none() && pair.back().is_none());
        other.plug();
        assert!(pair.there().is_some() && pair.back().is_some());
    });
}

#[test]
fn a_host_has_the_address_that_it_got_last() {
    play(async |world, person| {
        let other = world.host();
        let before = Pair::of(&person, &other);
        world.readdress(&other);
        assert!(before.there().is_none());
        drop(before);
        let after = Pair::of(&person, &other);
        assert!(after.there().is_some() && after.back().is_some());
    });
}

/// However a test ends: the kernel sees to it, and no destructor has to run.
#[test]
fn nothing_runs_on_when_the_thread_of_a_test_ends() {
    let mut program = std::thread::spawn(|| {
        let (mut program, host) = (None, Mutex::new(None));
        play(async |world, _| {
            let kept = world.host();
            let started = kept.command("sleep").arg("infinity").spawn().unwrap();
            let name = format!("/proc/{}/comm", started.id());
            e2e::eventually("the program to run", e2e::PATIENCE, || async {
                let running = std::fs::read_to_string(&name).unwrap();
                if running == "sleep\n" { Ok(()) } else { Err(running) }
            })
            .await;
            program = Some(started);
            *host.lock().unwrap() = Some(kept);
        });
        std::mem::forget(host);
        program.unwrap()
    })
    .join()
    .unwrap();
    let ended = (0..500).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        program.try_wait().unwrap()
    });
    assert_eq!(ended.expect("it ends").signal(), Some(9));
}
