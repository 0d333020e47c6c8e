//! From the errors of other crates to problems.

use super::Problem;

/// How an error looks to a caller. One exhaustive match per error type: status, code, and whether
/// it is logged. What is the caller's business goes into the problem, all else into the log.
pub trait IntoProblem {
    /// The answer for this error.
    fn into_problem(self) -> Problem;
}

impl IntoProblem for Problem {
    fn into_problem(self) -> Problem {
        self
    }
}

/// `?` for handlers: `store.find(id).await.or_problem()?`.
pub trait OrProblem<T> {
    /// The value, or the problem that the error becomes.
    ///
    /// # Errors
    /// The error as [`IntoProblem`] sees it.
    fn or_problem(self) -> Result<T, Problem>;
}

impl<T, E: IntoProblem> OrProblem<T> for Result<T, E> {
    fn or_problem(self) -> Result<T, Problem> {
        self.map_err(IntoProblem::into_problem)
    }
}
