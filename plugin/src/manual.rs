//! What the program tells of itself: completions for shells, and its manual page.

use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::ending::Ending;
use crate::terminal::Terminal;

/// The name of the program, which kubectl finds by it.
const PROGRAM: &str = "kubectl-boboyka";

/// Prints the completions of a shell.
pub(crate) fn completion(terminal: &Terminal, shell: Shell) -> Result<Ending> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), PROGRAM, &mut script);
    terminal.print(&String::from_utf8(script)?)?;
    Ok(Ending::Well)
}

/// Prints the manual page.
pub(crate) fn page(terminal: &Terminal) -> Result<Ending> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command().name(PROGRAM)).render(&mut page)?;
    terminal.print(&String::from_utf8(page)?)?;
    Ok(Ending::Well)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_for_krew_names_this_program() {
        let manifest: serde_json::Value =
            serde_yaml::from_str(include_str!("../krew.yaml")).unwrap();
        let platforms = manifest["spec"]["platforms"].as_array().unwrap();
        for (platform, arch) in platforms.iter().zip(["amd64", "arm64"]) {
            assert_eq!(platform["bin"], PROGRAM);
            assert_eq!(platform["selector"]["matchLabels"]["arch"], arch);
            assert_eq!(platform["sha256"], format!("@SHA256_{arch}@"));
        }
        assert_eq!(
            (platforms.len(), &manifest["metadata"]["name"]),
            (2, &"boboyka".into())
        );
    }

    #[test]
    fn every_command_and_flag_is_told_in_a_sentence() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        let mut open = vec![command];
        while let Some(command) = open.pop() {
            let arguments = command.get_arguments().filter(|one| !one.is_hide_set());
            for argument in arguments {
                assert!(
                    argument.get_help().is_some(),
                    "{} {}",
                    command.get_name(),
                    argument.get_id()
                );
            }
            assert!(command.get_about().is_some(), "{}", command.get_name());
            open.extend(command.get_subcommands().cloned());
        }
    }
}
