//! What AWS answers when it does not do as asked.

/// A refusal, before its protocol decides how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AwsError {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl AwsError {
    pub(super) fn new(status: u16, code: &'static str, message: String) -> Self {
        AwsError { status, code, message }
    }

    /// A mistake of the caller, which is status 400 for all but a few codes.
    pub(super) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        AwsError::new(400, code, message.into())
    }

    /// `InvalidParameterValue`.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        AwsError::bad("InvalidParameterValue", message)
    }

    /// `InvalidParameterCombination`.
    pub(super) fn combination(message: impl Into<String>) -> Self {
        AwsError::bad("InvalidParameterCombination", message)
    }

    /// `MissingParameter`.
    pub(super) fn missing(name: &str) -> Self {
        AwsError::bad("MissingParameter", format!("The request must contain the parameter {name}"))
    }
}
