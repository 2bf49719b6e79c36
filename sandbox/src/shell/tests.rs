use super::*;

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|word| (*word).to_owned()).collect()
}

fn environment() -> Environment {
    Environment {
        variables: [("GREETING".to_owned(), "hello".to_owned())].into(),
        hostname: "pod-1".to_owned(),
        directory: "/".to_owned(),
        files: [("/etc/config/key".to_owned(), Bytes::from_static(b"value"))].into(),
        sleeps: true,
        ..Environment::default()
    }
}

#[track_caller]
fn check(argv: &[&str], expect: (i32, &str)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let done = runtime.block_on(evaluate(&words(argv), environment(), 1 << 16));
    assert_eq!((done.code, done.text().as_str()), expect);
}

#[test]
fn plain_commands() {
    check(&["echo", "a", "b"], (0, "a b\n"));
    check(&["hostname"], (0, "pod-1\n"));
    check(&["true"], (0, ""));
    check(&["/bin/false"], (1, ""));
    check(&["cat", "/etc/config/key"], (0, "value"));
    check(&["ls", "/etc/config"], (0, "key\n"));
    check(&["test", "-d", "/etc/config"], (0, ""));
    check(&["test", "-d", "/etc/config/key"], (1, ""));
    check(&["test", "-f", "/etc/config/key"], (0, ""));
    check(&["sh", "-c", "test -d / && test -d /tmp && touch /f && test -d /f"], (1, ""));
    check(&["test", "-e", "/etc/other"], (1, ""));
    check(&["tar", "cf", "-", "/nowhere"], (1, "tar: /nowhere: No such file or directory\n"));
    check(&["nope"], (127, "sh: nope: not found (this is a simulated container)\n"));
}

#[test]
fn scripts() {
    check(&["sh", "-c", "exit 3"], (3, ""));
    check(&["sh", "-c", "echo $GREETING \"${GREETING} x\" '$GREETING'"], (0, "hello hello x $GREETING\n"));
    check(&["sh", "-c", "false || echo b && echo c; echo $?"], (0, "b\nc\n0\n"));
    check(&["sh", "-c", "false && echo no"], (1, ""));
    check(&["sh", "-c", "X=1; echo $X; exit 4; echo never"], (4, "1\n"));
    check(&["sh", "-c", "sleep 100; echo late"], (0, "late\n"));
    check(&["sh", "-c", "cd /etc && pwd"], (0, "/etc\n"));
    check(&["sh", "-c", "echo hidden > /dev/null"], (0, ""));
}

#[test]
fn scripts_write_files() {
    check(&["sh", "-c", "echo a > /tmp/f; echo b >> /tmp/f; cat /tmp/f"], (0, "a\nb\n"));
    check(&["sh", "-c", "touch /tmp/f && rm /tmp/f && test -e /tmp/f"], (1, ""));
    check(&["rm", "/tmp/none"], (1, "rm: can't remove '/tmp/none': No such file or directory\n"));
    check(&["rm", "-f", "/tmp/none"], (0, ""));
    check(&["rm", "/etc/config/key"], (1, "rm: can't remove '/etc/config/key': Read-only file system\n"));
    check(
        &["sh", "-c", "mkdir -p /work/a; touch /work/a/f; rm -rf /work; ls /work"],
        (1, "ls: /work: No such file or directory\n"),
    );
}

#[tokio::test]
async fn files_come_and_go_in_time() {
    let script = words(&["sh", "-c", "touch /tmp/healthy; sleep 30; rm -f /tmp/healthy; sleep 600"]);
    let done = evaluate(&script, environment(), 1 << 16).await;
    let there: Vec<_> =
        done.files.iter().map(|(at, files)| (at.as_secs(), files.contains_key("/tmp/healthy"))).collect();
    assert_eq!(there, [(0, true), (30, false), (630, false)]);
}

#[test]
fn output_goes_to_files() {
    check(&["sh", "-c", "echo a > /tmp/f; echo b >> /tmp/f; cat /tmp/f; echo c >/tmp/f; cat /tmp/f"], (0, "a\nb\nc\n"));
    check(&["sh", "-c", "D=/tmp; echo a > $D/f; > $D/f; ls $D; cat $D/f"], (0, "f\n"));
    check(&["sh", "-c", "cat /nowhere > /tmp/f || echo failed; cat /tmp/f"], (0, COMPLAINT));
    check(&["sh", "-c", "sh -c 'exit 3' > /tmp/f; echo $?"], (0, "3\n"));
    check(&["sh", "-c", "echo a > /etc/config/key"], (1, "sh: can't create /etc/config/key: Read-only file system\n"));
    check(&["sh", "-c", "echo a > /etc"], (1, "sh: can't create /etc: Is a directory\n"));
    check(&["sh", "-c", "echo a > /tmp/f; rm /tmp/f; ls /tmp/f"], (1, "ls: /tmp/f: No such file or directory\n"));
    check(&["rm", "/tmp/f"], (1, "rm: can't remove '/tmp/f': No such file or directory\n"));
    check(&["rm", "-f", "/tmp/f"], (0, ""));
}

const COMPLAINT: &str = "cat: can't open '/nowhere': No such file or directory\nfailed\n";

#[test]
fn what_it_does_not_know_is_said() {
    check(&["sh", "-c", "echo a | wc"], (2, "sh: the simulated shell does not know pipes\n"));
    check(
        &["sh", "-c", "while true; do echo a; done"],
        (2, "sh: the simulated shell does not know loops, conditions and functions\n"),
    );
    check(&["sh", "-c", "echo 'open"], (2, "sh: the simulated shell does not know an open quote\n"));
}

#[test]
fn scripts_run_each_other_only_so_deep() {
    let deep = "sh: the simulated shell does not know scripts that run each other so deep\n";
    check(&["sh", "-c", "X='sh -c \"$X\"'; sh -c \"$X\""], (2, deep));
}

#[test]
fn scripts_that_run_each_other_have_one_bound() {
    let wide = |name: char, inner: &str| format!("{name}='{}'; ", format!("{inner}; ").repeat(30));
    let script = wide('A', "true") + &wide('B', "sh -c \"$A\"") + &wide('C', "sh -c \"$B\"") + "sh -c \"$C\"";
    check(&["sh", "-c", &script], (2, &TOO_LONG.repeat(3)));
    let read_often = format!("A='#{}'; {}", "-".repeat(100_000), "sh -c \"$A\"; ".repeat(100));
    check(&["sh", "-c", &read_often], (2, TOO_LONG));
    check(&[&["touch"], vec!["/tmp/f"; WORK_LIMIT].as_slice()].concat(), (2, TOO_LONG));
}

const TOO_LONG: &str = "sh: script too long for the simulated shell\n";

#[tokio::test]
async fn each_line_has_a_bound_of_its_own() {
    let (to, stdin) = mpsc::channel(4);
    let (output, mut printed) = mpsc::channel(4);
    let line = "true; ".repeat(WORK_LIMIT / 3) + "echo done";
    to.send(format!("{line}\n{line}").into()).await.unwrap();
    drop(to);
    let mut io = Io::new(Some(stdin), output, false);
    assert_eq!(run(&words(&["sh"]), &mut environment(), &mut io).await, 0);
    for _ in 0..2 {
        assert_eq!(printed.recv().await, Some(Output::Stdout(Bytes::from_static(b"done\n"))));
    }
}

#[test]
fn variables_hold_only_so_much() {
    let long = "sh: the simulated shell does not know commands this long\n";
    check(&["sh", "-c", &("X=12345678; ".to_owned() + &"X=$X$X; ".repeat(64))], (2, long));
    // The last of sixteen that are 64 KiB long each, and have names.
    let doubled = "A=12345678; ".to_owned() + &"A=$A$A; ".repeat(13);
    let script = (0..15).fold(doubled, |script, index| script + &format!("A{index}=$A; "));
    check(&["sh", "-c", &script], (1, "sh: out of memory\n"));
}

#[test]
fn only_so_many_sets_of_files_are_kept() {
    let files = "touch ".to_owned() + &(0..100).map(|name| format!("/{name} ")).collect::<String>();
    let script = files + "; " + &"echo a > /0; sleep 1; echo b > /0; sleep 1; ".repeat(1000);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let done = runtime.block_on(evaluate(&words(&["sh", "-c", &script]), environment(), 1 << 16));
    let kept: usize = done.files.iter().map(|(_, files)| files.len()).sum();
    assert!(kept <= MOMENTS + 100, "{kept}");
    assert_eq!((done.slept, done.files.last().unwrap().0), (Duration::from_secs(2000), Duration::from_secs(2000)));
    // A file that grows is another one each time.
    let script =
        "X=12345678; ".to_owned() + &"X=$X$X; ".repeat(12) + "echo $X > /0; " + &"echo a >> /0; sleep 1; ".repeat(500);
    let done = runtime.block_on(evaluate(&words(&["sh", "-c", &script]), environment(), 1 << 16));
    let kept: usize = done.files.iter().map(|(_, files)| files["/0"].len()).sum();
    assert!(kept <= MOMENT_BYTES + (1 << 16), "{kept}");
    assert_eq!((done.code, done.files.last().unwrap().1["/0"].len()), (0, 8 * 4096 + 1 + 500 * 2));
}

#[tokio::test]
async fn cat_echoes_standard_input_until_it_ends() {
    let (to, stdin) = mpsc::channel(4);
    let (output, mut printed) = mpsc::channel(4);
    let task = tokio::spawn(async move {
        let mut io = Io::new(Some(stdin), output, false);
        run(&words(&["cat"]), &mut environment(), &mut io).await
    });
    to.send(Bytes::from_static(b"ping")).await.unwrap();
    assert_eq!(printed.recv().await, Some(Output::Stdout(Bytes::from_static(b"ping"))));
    drop(to);
    assert_eq!(task.await.unwrap(), 0);
}

#[tokio::test]
async fn an_interactive_shell_prompts_and_ends_with_exit() {
    let (to, stdin) = mpsc::channel(4);
    let (output, mut printed) = mpsc::channel(64);
    to.send(Bytes::from_static(b"echo hi\rexit 5\r")).await.unwrap();
    let mut io = Io::new(Some(stdin), output, true);
    assert_eq!(run(&words(&["sh"]), &mut environment(), &mut io).await, 5);
    drop(io);
    let mut all = String::new();
    while let Some(Output::Stdout(bytes) | Output::Stderr(bytes)) = printed.recv().await {
        all.push_str(&String::from_utf8_lossy(&bytes));
    }
    assert_eq!(all, "/ # echo hi\r\nhi\r\n/ # exit 5\r\n");
}

#[tokio::test(start_paused = true)]
async fn sleep_ends_when_nobody_listens() {
    let (output, printed) = mpsc::channel(1);
    drop(printed);
    let mut io = Io::new(None, output, false);
    let start = tokio::time::Instant::now();
    run(&words(&["sleep", "3600"]), &mut environment(), &mut io).await;
    assert_eq!(start.elapsed().as_secs(), 0);
}
