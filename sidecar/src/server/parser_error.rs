//! Errors of the HTTP parser. It answers by itself what is not a request, with a head and no body. The API
//! answers every error with a JSON body, so that is what replaces the parser's answer.

use crate::api::ApiError;

/// The maximum length of such a head.
const HEAD_MAX_BYTES: usize = 256;

/// Splits `bytes` before the parser's error that they end with; `None` if they do not end with one.
pub(super) fn at_end(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    // No body of the API ends like this: JSON has line breaks only between values.
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let end = bytes.len().saturating_sub(HEAD_MAX_BYTES);
    let begin = bytes
        .get(end..)?
        .windows(7)
        .rposition(|at| at == b"HTTP/1.")?;
    let (before, head) = bytes.split_at_checked(end + begin)?;
    let is_parser_error = ApiError::unparsed(status(head)?).is_some();
    (is_parser_error && find(head, NO_BODY).is_some()).then_some((before, head))
}

/// The same error in the form of the API.
pub(super) fn replacement(head: &[u8]) -> Vec<u8> {
    let error = status(head).and_then(ApiError::unparsed);
    let (Some(error), Some(at)) = (error, find(head, NO_BODY)) else {
        return head.to_vec();
    };
    let body = serde_json::to_vec(&error).unwrap_or_default();
    let length = body.len();
    let fields = format!("content-type: application/json\r\ncontent-length: {length}\r\n");
    let (before, after) = head.split_at(at);
    let after = after.get(NO_BODY.len()..).unwrap_or_default();
    [before, fields.as_bytes(), after, &body].concat()
}

fn status(head: &[u8]) -> Option<u16> {
    let digits = std::str::from_utf8(head.get(9..12)?).ok()?;
    digits.parse().ok()
}

const NO_BODY: &[u8] = b"content-length: 0\r\n";

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|at| at == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
                        content-length: 0\r\ndate: Wed, 25 Nov 2026 18:36:33 GMT\r\n\r\n";

    #[test]
    fn an_error_of_the_parser_gets_a_body_and_keeps_its_head() {
        let text = String::from_utf8(replacement(HEAD.as_bytes())).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let error: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(error["code"], "head_too_large");
        assert_eq!(
            head,
            HEAD.trim_end().replace(
                "content-length: 0",
                &format!(
                    "content-type: application/json\r\ncontent-length: {}",
                    body.len()
                )
            )
        );
    }

    #[test]
    fn answers_of_the_api_are_left_alone() {
        let answers = [
            "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n{\"a\":1}",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 70\r\n\r\n",
            "{\"data\":\"HTTP/1.1 400 Bad Request\\r\\ncontent-length: 0\\r\\n\\r\\n\"}\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "\r\n\r\n",
        ];
        for answer in answers {
            assert_eq!(at_end(answer.as_bytes()), None, "{answer}");
        }
        let both = [answers[0], HEAD].concat();
        let (before, error) = at_end(both.as_bytes()).unwrap();
        assert_eq!((before, error), (answers[0].as_bytes(), HEAD.as_bytes()));
    }
}
