//! Clients as they are: how they send, wait, and give up, on raw sockets and from Python.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use boboyka_tests::process::{Process, free_address, wait_until};
use boboyka_tests::{Sidecar, sidecar};
use serde_json::{Value, json};

/// Guards against a hang.
const LIMIT: Duration = Duration::from_mins(2);

const RECORD: &str = r#"{"record_type":"agent_health","data":{"agent_id":"a","status":"healthy"}}"#;

fn connect(sidecar: &Sidecar) -> TcpStream {
    let stream = TcpStream::connect(sidecar.url("").replace("http://", "")).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// What comes back for these bytes until the connection is closed.
fn raw(sidecar: &Sidecar, bytes: &[u8]) -> String {
    let mut stream = connect(sidecar);
    // The server may answer and close before it has the whole request.
    let _ = stream.write_all(bytes);
    rest_of(&mut stream)
}

fn rest_of(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n")
}

fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /v1/boboyka/{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         {headers}content-length: {length}\r\n\r\n{body}"
    )
}

fn status_of(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1);
    status
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

/// Status and code of an error, which must have the form of the API.
fn error_of(answer: &str) -> (u16, String) {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{answer:?}"));
    assert!(head.contains("content-type: application/json"), "{answer}");
    let error: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
    for field in ["error", "code", "message"] {
        assert!(error[field].is_string(), "{field}: {answer}");
    }
    (
        status_of(answer),
        error["code"].as_str().unwrap().to_owned(),
    )
}

fn python(script: &str, arguments: &[&str]) -> Value {
    let output = Command::new("python3")
        .args(["-c", script])
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn pythons_clients_read_why_a_long_body_was_refused() {
    const SCRIPT: &str = r"
import http.client, json, sys, urllib.error, urllib.request
address, seen = sys.argv[1], []
long = b'[' + b' ' * (24 << 20) + b']'
for path, kind in [('ingest', 'text/plain'), ('ingest', 'application/json'), ('ingest/batch', 'application/json'),
                   ('nothing', 'application/json'), ('status', 'application/json')]:
    connection = http.client.HTTPConnection(address, timeout=120)
    for _ in range(2):  # the second on the same connection, where it was kept
        connection.request('POST', '/v1/boboyka/' + path, long, {'content-type': kind})
        answer = connection.getresponse()
        seen.append([answer.status, json.load(answer)['code']])
    request = urllib.request.Request('http://' + address + '/v1/boboyka/' + path, long, {'content-type': kind})
    try:
        urllib.request.urlopen(request, timeout=120)
    except urllib.error.HTTPError as error:
        seen.append([error.code, json.load(error)['code']])
print(json.dumps(seen))
";
    let sidecar = Sidecar::start().await;
    let address = sidecar.url("").replace("http://", "");
    let expected: Vec<Value> = [
        (415, "unsupported_media_type"),
        (413, "too_large"),
        (413, "too_large"),
        (404, "not_found"),
        (405, "method_not_allowed"),
    ]
    .iter()
    .flat_map(|refusal| std::iter::repeat_n(json!(refusal), 3))
    .collect();
    assert_eq!(python(SCRIPT, &[&address]), json!(expected));
}

#[tokio::test]
async fn a_client_that_says_it_has_sent_everything_gets_its_answer() {
    let sidecar = Sidecar::start().await;
    let json = "content-type: application/json\r\n";
    for request in [
        post("ingest", json, RECORD),
        post("ingest/batch", json, &format!("[{RECORD}]")),
        get("/v1/boboyka/verify", "host: localhost\r\n"),
    ] {
        let mut stream = connect(&sidecar);
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(status_of(&rest_of(&mut stream)), 200, "{request}");
    }
}

/// A sidecar with few file descriptors, so with room for few connections.
async fn cramped() -> Sidecar {
    Sidecar::start_wrapped(&["prlimit", "--nofile=256:256"], &[], &[]).await
}

#[tokio::test]
async fn idle_connections_make_room_and_busy_ones_stay() {
    let sidecar = cramped().await;
    let mut busy = connect(&sidecar);
    let request = post("ingest", "content-type: application/json\r\n", RECORD);
    let (begun, rest) = request.split_at(request.len() - 10);
    busy.write_all(begun.as_bytes()).unwrap();
    let mut idle = Vec::new();
    for number in 0..200 {
        let mut stream = connect(&sidecar);
        if number % 2 == 0 {
            stream
                .write_all(b"GET /used HTTP/1.1\r\nhost: localhost\r\n\r\n")
                .unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 404");
        }
        idle.push(stream);
    }
    let begun = Instant::now();
    sidecar
        .ingest("audit_log", &json!({"agent_id": "a", "event": "e"}))
        .await;
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    busy.write_all(rest.as_bytes()).unwrap();
    assert_eq!(status_of(&rest_of(&mut busy)), 200);
    let newest = idle.last_mut().unwrap();
    newest
        .write_all(get("/used", "host: localhost\r\n").as_bytes())
        .unwrap();
    assert_eq!(status_of(&rest_of(newest)), 404);
}

#[tokio::test]
async fn running_out_of_descriptors_is_logged_once_and_passes() {
    let mut sidecar = Sidecar::start().await;
    let pid = sidecar.process().pid().to_string();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count();
    let limit = |descriptors: usize| {
        let arguments = [format!("--nofile={descriptors}:"), format!("--pid={pid}")];
        assert!(
            Command::new("prlimit")
                .args(arguments)
                .status()
                .unwrap()
                .success()
        );
    };
    limit(open + 4);
    let waiting: Vec<_> = (0..100).map(|_| connect(&sidecar)).collect();
    let lines = |log: String| log.matches("could not accept connections").count();
    wait_until(
        LIMIT,
        || async { lines(sidecar.log()) > 0 },
        || sidecar.log(),
    )
    .await;
    // A new connection takes the place of an idle one.
    sidecar.get("/v1/boboyka/status").await;
    drop(waiting);
    limit(1024);
    sidecar
        .ingest("audit_log", &json!({"agent_id": "a", "event": "e"}))
        .await;
    assert_eq!(lines(sidecar.log()), 1, "{}", sidecar.log());
}

#[tokio::test]
async fn localhost_is_listened_on_by_both_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let (listen, observe) = (free_address().port(), free_address().port());
    let mut command = Command::new(sidecar::binary());
    command.arg("--data-dir").arg(folder.path().join("data"));
    command.args(["--listen", &format!("localhost:{listen}")]);
    command.args(["--observe", &format!("localhost:{observe}")]);
    let process = Process::start(&mut command, &folder.path().join("log"));
    let answers = |address: String| async move {
        let answer = boboyka_tests::client().get(format!("http://{address}/v1/boboyka/status"));
        answer
            .send()
            .await
            .is_ok_and(|answer| answer.status() == 200)
    };
    wait_until(
        LIMIT,
        || answers(format!("127.0.0.1:{listen}")),
        || process.log(),
    )
    .await;
    if TcpListener::bind("[::1]:0").is_ok() {
        assert!(
            answers(format!("[::1]:{listen}")).await,
            "{}",
            process.log()
        );
        assert!(TcpStream::connect(("::1", observe)).is_ok());
    } else {
        assert!(process.log().contains("does not have"), "{}", process.log());
    }
    assert!(answers(format!("localhost:{listen}")).await);
    let waited = Command::new(sidecar::binary())
        .args(["wait", "--observe", &format!("localhost:{observe}")])
        .status();
    assert!(waited.unwrap().success());
}

#[tokio::test]
async fn bodies_are_taken_as_clients_write_them() {
    let sidecar = Sidecar::start().await;
    let lines = format!("{RECORD}\n{RECORD}\n");
    let array = format!("[{RECORD},{RECORD}]");
    let mut appended = 0;
    for (path, kind, body, records) in [
        (
            "ingest",
            "application/json; charset=utf-8",
            RECORD.to_owned(),
            1,
        ),
        ("ingest", "Application/JSON", format!("\u{feff}{RECORD}"), 1),
        ("ingest/batch", "application/x-ndjson", lines.clone(), 2),
        ("ingest/batch", "application/ndjson", lines.clone(), 2),
        (
            "ingest/batch",
            "application/jsonl; charset=utf-8",
            lines.clone(),
            2,
        ),
        (
            "ingest/batch",
            "application/x-ndjson",
            format!("\u{feff}{lines}"),
            2,
        ),
        ("ingest/batch", "application/json", array.clone(), 2),
        (
            "ingest/batch",
            "application/json",
            format!("\u{feff}{array}"),
            2,
        ),
    ] {
        let answer = raw(
            &sidecar,
            post(path, &format!("content-type: {kind}\r\n"), &body).as_bytes(),
        );
        assert_eq!(status_of(&answer), 200, "{kind}: {answer}");
        appended += records;
    }
    assert_eq!(
        sidecar.get("/v1/boboyka/status").await["total_events"],
        appended
    );
}

#[tokio::test]
async fn bodies_of_other_kinds_are_rejected_by_the_header_that_declares_them() {
    let sidecar = Sidecar::start().await;
    for (headers, field) in [
        (
            "content-type: application/json\r\ncontent-encoding: gzip\r\n",
            "Content-Encoding",
        ),
        (
            "content-type: application/json\r\ncontent-encoding: identity\r\ncontent-encoding: br\r\n",
            "Content-Encoding",
        ),
        ("content-type: text/plain\r\n", "Content-Type"),
        ("", "Content-Type"),
    ] {
        let answer = raw(&sidecar, post("ingest", headers, RECORD).as_bytes());
        assert_eq!(
            error_of(&answer),
            (415, "unsupported_media_type".to_owned()),
            "{headers}"
        );
        assert!(
            answer.contains(&format!(r#""field":"{field}""#)),
            "{answer}"
        );
    }
    let twice = "content-type: application/json\r\ncontent-type: text/plain\r\n";
    let answer = raw(&sidecar, post("ingest", twice, RECORD).as_bytes());
    assert_eq!(error_of(&answer).0, 400);
    assert_eq!(sidecar.get("/v1/boboyka/status").await["total_events"], 0);
}

#[tokio::test]
async fn a_number_comes_back_as_it_went_in_or_is_refused() {
    let sidecar = Sidecar::start().await;
    let health = |field: &str| {
        format!(
            r#"{{"record_type":"agent_health","data":{{"agent_id":"a","status":"healthy",{field}}}}}"#
        )
    };
    for (sent, kept) in [
        (r#""x":9007199254740993"#, Some(r#""x":9007199254740993"#)),
        (
            r#""x":18446744073709551615"#,
            Some(r#""x":18446744073709551615"#),
        ),
        (
            r#""x":23.400000000000002"#,
            Some(r#""x":23.400000000000002"#),
        ),
        (r#""x":-0"#, Some(r#""x":-0.0"#)),
        (r#""x":1e2"#, Some(r#""x":100.0"#)),
        (r#""x":9007199254740993.0"#, None),
        (r#""x":1234567890123456.7"#, None),
        (r#""x":8.9999999999999999"#, None),
        (r#""x":18446744073709551616"#, None),
        (r#""x":1e400"#, None),
        (r#""x":1e-400"#, None),
        (
            r#""checked_at_ms":1747000000000.0"#,
            Some(r#""checked_at_ms":1747000000000"#),
        ),
        (
            r#""checked_at_ms":1.747e12"#,
            Some(r#""checked_at_ms":1747000000000"#),
        ),
        (r#""checked_at_ms":-0"#, Some(r#""checked_at_ms":0"#)),
        (r#""checked_at_ms":1.5"#, None),
    ] {
        let (status, answer) = sidecar.post("/v1/boboyka/ingest", &health(sent)).await;
        let Some(kept) = kept else {
            let field = sent.split('"').nth(1).unwrap();
            assert_eq!(
                (status, &answer["field"]),
                (422, &json!(field)),
                "{sent}: {answer}"
            );
            continue;
        };
        assert_eq!(status, 200, "{sent}: {answer}");
        let hash = answer["record_hash"].as_str().unwrap();
        let view = raw(
            &sidecar,
            get(
                &format!("/v1/boboyka/records/{hash}"),
                "host: localhost\r\n",
            )
            .as_bytes(),
        );
        assert!(
            view.contains(&format!("{kept},")) || view.contains(&format!("{kept}}}")),
            "{sent}: {view}"
        );
    }
    let since = sidecar
        .get("/v1/boboyka/events?since_ms=1747000000000.0&limit=1")
        .await;
    let hash = since["events"][0]["record_hash"].as_str().unwrap();
    let record = sidecar.get(&format!("/v1/boboyka/records/{hash}")).await;
    assert_eq!(
        record["timestamp_hlc_text"],
        record["timestamp_hlc"].to_string()
    );
}

#[tokio::test]
async fn only_what_is_addressed_to_this_machine_is_answered() {
    let sidecar = Sidecar::start().await;
    let (path, port) = (
        "/v1/boboyka/events",
        sidecar.url("").rsplit(':').next().unwrap().to_owned(),
    );
    for headers in [
        "host: localhost\r\n".to_owned(),
        "host: localhost.\r\n".to_owned(),
        format!("Host: LOCALHOST.:{port}\r\n"),
        format!("host: 127.0.0.1:{port}\r\n"),
        format!("host: [::1]:{port}\r\norigin: http://localhost:3000\r\n"),
    ] {
        assert_eq!(
            status_of(&raw(&sidecar, get(path, &headers).as_bytes())),
            200,
            "{headers}"
        );
    }
    let absolute = format!("http://localhost:{port}{path}");
    assert_eq!(
        status_of(&raw(
            &sidecar,
            get(&absolute, "host: localhost\r\n").as_bytes()
        )),
        200
    );
}

#[tokio::test]
async fn what_is_addressed_to_another_machine_is_rejected() {
    let sidecar = Sidecar::start().await;
    let path = "/v1/boboyka/events";
    for (target, headers, refused) in [
        (
            path,
            "host: [::1].evil.example\r\n",
            (403, "forbidden_host"),
        ),
        (path, "host: x@127.0.0.1\r\n", (403, "forbidden_host")),
        (
            path,
            "host: 127.0.0.1.evil.example\r\n",
            (403, "forbidden_host"),
        ),
        (path, "", (403, "forbidden_host")),
        (
            path,
            "host: localhost\r\nhost: evil.example\r\n",
            (400, "bad_parameter"),
        ),
        (
            path,
            "host: localhost\r\nhost: localhost\r\n",
            (400, "bad_parameter"),
        ),
        (
            path,
            "host: localhost\r\norigin: http://x@localhost\r\n",
            (403, "forbidden_origin"),
        ),
        (
            path,
            "host: localhost\r\norigin: http://[::1].evil.example\r\n",
            (403, "forbidden_origin"),
        ),
        (
            path,
            "host: localhost\r\norigin: http://localhost\r\norigin: http://evil.example\r\n",
            (400, "bad_parameter"),
        ),
        (
            "http://evil.example/v1/boboyka/events",
            "host: localhost\r\n",
            (403, "forbidden_host"),
        ),
        (
            "http://x@localhost/v1/boboyka/events",
            "host: localhost\r\n",
            (403, "forbidden_host"),
        ),
    ] {
        let (status, code) = error_of(&raw(&sidecar, get(target, headers).as_bytes()));
        assert_eq!((status, code.as_str()), refused, "{target} {headers}");
    }
}

#[tokio::test]
async fn every_error_has_the_form_of_the_api_the_parsers_too() {
    let sidecar = Sidecar::start().await;
    let local = "host: localhost\r\n";
    let long = "a".repeat(70_000);
    let many = "x: y\r\n".repeat(200);
    for (request, status, code) in [
        (get("/v1/boboyka/records/%ff", local), 400, "bad_parameter"),
        (get("/v1/boboyka/records/%00", local), 400, "bad_parameter"),
        (get("/v1/boboyka/records/", local), 404, "not_found"),
        (get("/%ff", local), 404, "not_found"),
        (get("//", local), 404, "not_found"),
        (get("/v1/boboyka/ingest", local), 405, "method_not_allowed"),
        (
            get("/v1/boboyka/events?limit=%ff", local),
            400,
            "bad_parameter",
        ),
        (
            get("/v1/boboyka/events?limit=1&limit=2", local),
            400,
            "bad_parameter",
        ),
        (get("/v1/boboyka/events?%ff=1", local), 400, "bad_parameter"),
        (
            post("mirror/retry?lane=audit_log&lane=audit_log", "", ""),
            400,
            "bad_parameter",
        ),
        (
            format!("OPTIONS * HTTP/1.1\r\n{local}connection: close\r\n\r\n"),
            404,
            "not_found",
        ),
        ("GARBAGE\r\n\r\n".to_owned(), 400, "malformed_request"),
        (
            "GET /a b HTTP/1.1\r\n\r\n".to_owned(),
            400,
            "malformed_request",
        ),
        (
            "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(),
            400,
            "malformed_request",
        ),
        (
            post("ingest", "content-length: 1\r\n", RECORD),
            400,
            "malformed_request",
        ),
        (get(&format!("/{long}"), local), 414, "target_too_long"),
        (get("/", &many), 431, "head_too_large"),
        (
            get("/", &format!("x: {}\r\n", long.repeat(40))),
            431,
            "head_too_large",
        ),
    ] {
        let shown = &request[..request.len().min(80)];
        let (found, found_code) = error_of(&raw(&sidecar, request.as_bytes()));
        assert_eq!((found, found_code.as_str()), (status, code), "{shown}");
    }
    let pipelined = format!("GET /first HTTP/1.1\r\n{local}\r\nGARBAGE\r\n\r\n");
    let both = raw(&sidecar, pipelined.as_bytes());
    let second = both.find("HTTP/1.1 400").unwrap();
    assert_eq!(error_of(&both[..second]).1, "not_found");
    assert_eq!(error_of(&both[second..]).1, "malformed_request");
    let observed = boboyka_tests::client().get(sidecar.observe_url("/nothing"));
    assert_eq!(sidecar::answer(observed).await.1["code"], "not_found");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_off() {
    let mut sidecar = Sidecar::start().await;
    let note = "x".repeat(900_000);
    for number in 0..20 {
        let data = json!({"agent_id": "a", "event": "e", "number": number, "note": note});
        sidecar.ingest("audit_log", &data).await;
    }
    let mut reader = connect(&sidecar);
    let page = "GET /v1/boboyka/events?limit=1000&include=data HTTP/1.1\r\nhost: localhost\r\n\r\n";
    reader.write_all(page.repeat(40).as_bytes()).unwrap();
    let folder = format!("/proc/{}/fd", sidecar.process().pid());
    let mut socket = None;
    wait_until(
        LIMIT,
        || {
            socket = socket_of(&reader).filter(|socket| holds(&folder, socket));
            let found = socket.is_some();
            async move { found }
        },
        || "the sidecar did not accept it".to_owned(),
    )
    .await;
    let socket = socket.unwrap();
    wait_until(
        LIMIT,
        || async { !holds(&folder, &socket) },
        || "the sidecar still holds it".to_owned(),
    )
    .await;
    let mut taken = Vec::new();
    let error = reader.read_to_end(&mut taken).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

/// The socket at the other end of a connection, as a process's table of files names it.
fn socket_of(stream: &TcpStream) -> Option<String> {
    let port = |address: std::net::SocketAddr| format!(":{:04X}", address.port());
    let ours = port(stream.local_addr().unwrap());
    let theirs = port(stream.peer_addr().unwrap());
    let connections = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut rows = connections
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row[1].ends_with(&theirs) && row[2].ends_with(&ours))?;
    Some(format!("socket:[{}]", row[9]))
}

/// Whether a process's table of files has this one.
fn holds(folder: &str, file: &str) -> bool {
    let open = std::fs::read_dir(folder).unwrap().flatten();
    let mut open = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    open.any(|target| target.to_string_lossy() == file)
}
