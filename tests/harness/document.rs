//! Documents, of which tests run the commands.

/// The commands of a document in Markdown, each with the lines that it prints.
pub fn commands(document: &str) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in document.lines() {
        match (line.strip_prefix("$ "), line.starts_with("```")) {
            (_, true) => inside = line == "```console",
            (Some(command), _) if inside => commands.push((command.to_owned(), Vec::new())),
            _ if inside => commands.last_mut().unwrap().1.push(line.to_owned()),
            _ => {}
        }
    }
    commands
}
