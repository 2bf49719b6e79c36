//! Which of many addresses answers first (RFC 8305).
//!
//! TCP asks an address again after 1, 3 and 7 seconds, so a way that is back may be found late. Here each address is asked
//! anew every second while nobody answers, and each address of a name has its turn a moment after the one before it: one
//! that leads nowhere costs little.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

/// Between attempts at two addresses (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// Between two attempts at one address, if there are not too many of them.
const AGAIN: Duration = Duration::from_secs(1);
/// How long this goes on. Names may lead elsewhere by then.
pub(crate) const WHOLE: Duration = Duration::from_secs(3);
/// As many addresses of a name are tried.
const ADDRESSES: usize = 8;

/// The order in which addresses are tried: as they came, but by turns of their families (RFC 8305 section 4).
pub(crate) fn by_turns(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses: Vec<_> = addresses.into_iter().collect();
    let Some(first) = addresses.first().copied() else { return addresses };
    addresses.sort_by_key(|address| address.is_ipv4() != first.is_ipv4());
    let (near, far) = addresses.split_at(addresses.partition_point(|address| address.is_ipv4() == first.is_ipv4()));
    let turns = (0..near.len().max(far.len())).flat_map(|turn| [near.get(turn), far.get(turn)]);
    turns.flatten().copied().take(ADDRESSES).collect()
}

/// When which of so many addresses is tried, counted from the beginning.
fn schedule(addresses: usize) -> impl Iterator<Item = (Duration, usize)> {
    let round = AGAIN.max(STAGGER * u32::try_from(addresses).unwrap_or(u32::MAX));
    let rounds = (0..).map(move |number| round * number).take_while(|begins| *begins < WHOLE);
    rounds.flat_map(move |begins| (0..addresses).map(move |one| (begins + STAGGER * one as u32, one)))
}

/// Connects to the first address that answers; the other attempts are given up. One that refuses is not asked again.
///
/// # Errors
/// The most telling one: that somebody refused, rather than that somebody could not be reached or did not answer.
pub(crate) async fn race<F, S>(addresses: &[SocketAddr], connect: impl Fn(SocketAddr) -> F) -> io::Result<S>
where
    F: Future<Output = io::Result<S>>,
{
    let began = Instant::now();
    let mut schedule = schedule(addresses.len()).peekable();
    let mut is_out = vec![false; addresses.len()];
    let mut attempts = FuturesUnordered::new();
    let mut failed: Option<io::Error> = None;
    loop {
        while schedule.next_if(|(_, one)| is_out[*one]).is_some() {}
        // With nothing under way there is nothing to wait for.
        let next = match schedule.peek() {
            Some((after, _)) if !attempts.is_empty() => began + *after,
            Some(_) => began,
            None if is_out.iter().all(|out| *out) => break,
            None => began + WHOLE,
        };
        let next = next.min(began + WHOLE);
        tokio::select! {
            biased;
            Some((one, connected)) = attempts.next() => match connected {
                Ok(socket) => return Ok(socket),
                Err(error) => {
                    is_out[one] = true;
                    if failed.as_ref().is_none_or(|failed| failed.kind() != io::ErrorKind::ConnectionRefused) {
                        failed = Some(error);
                    }
                }
            },
            () = sleep_until(next) => match schedule.next() {
                Some((_, one)) if began.elapsed() < WHOLE => {
                    let attempt = connect(addresses[one]);
                    attempts.push(async move { (one, attempt.await) });
                }
                _ => break,
            },
        }
    }
    Err(failed.unwrap_or_else(|| io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::net::{TcpListener, TcpSocket, TcpStream};
    use tokio::sync::Notify;
    use tokio::time::{sleep, timeout};

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[track_caller]
    fn check_turns(given: &[&str], expect: &[&str]) {
        assert_eq!(by_turns(addresses(given)), addresses(expect));
    }

    #[test]
    fn families_take_turns() {
        check_turns(&[], &[]);
        check_turns(&["1.1.1.1:1"], &["1.1.1.1:1"]);
        check_turns(
            &["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"],
            &["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"],
        );
        check_turns(&["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"], &["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"]);
        let many: Vec<SocketAddr> = (0..100).map(|n| ([10, 0, 0, n], 1).into()).collect();
        assert_eq!(by_turns(many).len(), ADDRESSES);
    }

    #[test]
    fn every_address_is_asked_every_second_while_nobody_answers() {
        let when = |count| schedule(count).map(|(at, one)| (at.as_millis(), one)).collect::<Vec<_>>();
        assert_eq!(when(1), [(0, 0), (1000, 0), (2000, 0)]);
        assert_eq!(when(2), [(0, 0), (250, 1), (1000, 0), (1250, 1), (2000, 0), (2250, 1)]);
        assert_eq!(when(0), []);
    }

    /// Who is asked when, in a world where each address behaves as `answer` says.
    async fn run<F>(
        texts: &[&str],
        answer: impl Fn(SocketAddr, usize) -> F,
    ) -> (io::Result<SocketAddr>, Vec<(u128, String)>)
    where
        F: Future<Output = io::Result<()>>,
    {
        let (began, asked) = (Instant::now(), Mutex::new(Vec::new()));
        let candidates = addresses(texts);
        let won = race(&candidates, |address| {
            let mut asked = asked.lock().unwrap();
            asked.push((began.elapsed().as_millis(), address.ip().to_string()));
            let answered = answer(address, asked.len());
            async move { answered.await.map(|()| address) }
        });
        let won = won.await;
        (won, asked.into_inner().unwrap())
    }

    fn at(asked: &[(u128, String)]) -> Vec<(u128, &str)> {
        asked.iter().map(|(when, who)| (*when, who.as_str())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_black_hole_is_asked_again_and_given_up() {
        let began = Instant::now();
        let (none, asked) = run(&["1.1.1.1:1"], |_, _| std::future::pending()).await;
        assert_eq!(none.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(at(&asked), [(0, "1.1.1.1"), (1000, "1.1.1.1"), (2000, "1.1.1.1")]);
        assert_eq!(began.elapsed(), WHOLE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_way_that_is_back_is_found_within_a_second() {
        let began = Instant::now();
        let (won, _) = run(&["1.1.1.1:1"], |_, attempt| async move {
            // The first attempt is lost for good.
            if attempt == 1 {
                std::future::pending().await
            } else {
                sleep(Duration::from_millis(10)).await
            }
            Ok(())
        })
        .await;
        assert!(won.is_ok() && began.elapsed() == Duration::from_millis(1010), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_leads_nowhere_costs_a_moment() {
        let began = Instant::now();
        let (won, asked) = run(&["[::1]:1", "2.2.2.2:1"], |address, _| async move {
            if address.is_ipv6() {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
        .await;
        assert!(won.unwrap().is_ipv4() && began.elapsed() == STAGGER);
        assert_eq!(at(&asked), [(0, "::1"), (250, "2.2.2.2")]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_refuses_is_not_waited_for_and_not_asked_again() {
        let refuse = |address: SocketAddr, _| async move {
            Err(if address.is_ipv6() { io::ErrorKind::NetworkUnreachable } else { io::ErrorKind::ConnectionRefused }
                .into())
        };
        let began = Instant::now();
        let (none, asked) = run(&["2.2.2.2:1", "[::1]:1"], refuse).await;
        // That there is a machine says more than that there is no way to another.
        assert_eq!(none.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!((at(&asked), began.elapsed()), (vec![(0, "2.2.2.2"), (0, "::1")], Duration::ZERO));
        let half = |address: SocketAddr, _| async move {
            match address.is_ipv6() {
                true => Err(io::ErrorKind::ConnectionRefused.into()),
                false => std::future::pending().await,
            }
        };
        let (none, asked) = run(&["[::1]:1", "2.2.2.2:1"], half).await;
        assert_eq!(none.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(at(&asked), [(0, "::1"), (0, "2.2.2.2"), (1250, "2.2.2.2"), (2250, "2.2.2.2")]);
    }

    /// A listener whose queue is full: the kernel drops what else comes, as a link does that loses packets.
    async fn black_hole() -> (TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        for _ in 0..16 {
            match timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
                Ok(connected) => queued.push(connected.unwrap()),
                Err(_) => return (listener, queued),
            }
        }
        panic!("the queue takes everything");
    }

    #[tokio::test]
    async fn the_first_to_answer_wins_over_real_sockets() {
        let (hole, _queued) = black_hole().await;
        let six = TcpListener::bind("[::1]:0").await.unwrap();
        let candidates = [hole.local_addr().unwrap(), six.local_addr().unwrap()];
        let won = race(&candidates, TcpStream::connect).await.unwrap();
        assert_eq!(won.peer_addr().unwrap(), candidates[1]);
        // A port where nobody listens any more refuses at once.
        let gone = six.local_addr().unwrap();
        drop((six, won));
        let refused = race(&[gone], TcpStream::connect).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_black_hole_that_opens_is_found_over_real_sockets() {
        let (hole, queued) = black_hole().await;
        let candidates = [hole.local_addr().unwrap()];
        let (attempts, again) = (AtomicUsize::new(0), Notify::new());
        let dialled = race(&candidates, |address| {
            if attempts.fetch_add(1, Ordering::Relaxed) == 1 {
                again.notify_one();
            }
            TcpStream::connect(address)
        });
        let healed = async {
            // TCP has asked twice by now, and would ask again after three seconds.
            again.notified().await;
            for _ in &queued {
                hole.accept().await.unwrap();
            }
        };
        let (dialled, ()) = tokio::join!(dialled, healed);
        assert_eq!(dialled.unwrap().peer_addr().unwrap(), candidates[0]);
    }
}
