//! The command line.

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::command::check::CheckOptions;
use crate::command::dead_letters::DeadLettersOptions;
use crate::command::drain::DrainOptions;
use crate::command::events::EventsOptions;
use crate::command::fence::FenceOptions;
use crate::command::install::InstallOptions;
use crate::command::panel::PanelOptions;
use crate::command::phase::PhaseOptions;
use crate::command::repair::RepairOptions;
use crate::command::report::ReportOptions;
use crate::connection::Connection;
use crate::target::Which;
use crate::terminal::Output;

/// Looks after Boboyka's integrations in a cluster.
#[derive(Clone, Debug, Parser)]
#[command(name = "kubectl-boboyka", version, bin_name = "kubectl boboyka", disable_help_subcommand = true, after_help = ENDINGS)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    pub(crate) output: Output,
}

const ENDINGS: &str = "Exit codes: 0 all is well; 1 something is wrong, or did not come in time; \
2 the command line is wrong; 3 there is no answer, or only a part of it.";

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the fleet at a glance: integrations, phases and gates, strands by state, the worst with the next step.
    Status,
    /// Says why a pod is not there, waits, or has no strand.
    Why {
        /// Name of the pod; or of its workload, such as `deploy/agent`, when the pod is not there.
        pod: String,
    },
    /// Checks what an installation needs and whether it works, and says how to mend what fails.
    Check(CheckOptions),
    /// Shows which phase is in force and what the next one waits for; asks for another phase.
    Phase(PhaseOptions),
    /// Has every sidecar compute the hashes of its chain again, and sums up in one verdict.
    Verify(Which),
    /// Lists the newest records of all strands, and follows them.
    Events(EventsOptions),
    /// Writes one archive for a bug report: objects, conditions, Events, logs, versions; no Secret and no record.
    Report(ReportOptions),
    /// Lists the records that Supabase rejected, shows them, and sends them again.
    DeadLetters(DeadLettersOptions),
    /// Compares Supabase's tables with the strands, and sends again what differs.
    Repair(RepairOptions),
    /// Opens the panel of a pod's sidecar in the browser.
    Panel(PanelOptions),
    /// Wakes the lanes of the mirror, and waits until Supabase has every record.
    Drain(DrainOptions),
    /// Keeps a strand from pods: none gets it until the fence is lifted. A pod that holds it keeps it.
    Fence(FenceOptions),
    /// Lifts the fence of a strand: pods that wait for it come up.
    Unfence {
        /// Name of the strand.
        strand: String,
    },
    /// Applies the manifest of this version, or says what applying it would do.
    Install(InstallOptions),
    /// Prints the completions of a shell.
    Completion {
        /// Which shell.
        shell: Shell,
    },
    /// Prints the manual page.
    #[command(hide = true)]
    Man,
}
