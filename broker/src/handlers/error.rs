//! Operating errors of the log as error codes of the protocol. The only such place.

use milena_protocol::error_code::ErrorCode;
use milena_storage::{AppendError, ReadError};
