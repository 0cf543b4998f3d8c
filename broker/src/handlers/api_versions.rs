//! ApiVersions (18), versions 0–4.
//!
//! An unknown version is answered in version 0 with UNSUPPORTED_VERSION and the versions of this
//! API alone, so that the client can ask again (KIP-511). The answer's header is always version 0.

use milena_cluster::controller::features::{KRAFT_VERSION, SUPPORTED};
use milena_protocol::api::ApiKey;
use milena_protocol::api::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeature, SupportedFeature,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::message::Message;

use super::served::{SERVED, advertised, is_for};
use crate::broker::Broker;
use crate::request::Context;

/// The answer to a version that does not exist; it is written in version 0.
#[must_use]
pub fn unsupported_version() -> ApiVersionsResponse {
    let versions = ApiVersionsRequest::VERSIONS;
    ApiVersionsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION,
        api_keys: vec![ApiVersion {
            api_key: ApiKey::ApiVersions.number(),
            min_version: versions.min,
            max_version: versions.max,
        }],
        ..Default::default()
    }
}

/// Answers which APIs are served and which features are in use.
#[must_use]
pub fn handle(
    broker: &Broker,
    context: &Context,
    request: ApiVersionsRequest,
) -> ApiVersionsResponse {
    if context.version >= 3 && !is_valid_client(&request) {
        return ApiVersionsResponse {
            error_code: ErrorCode::INVALID_REQUEST,
            ..Default::default()
        };
    }
    let api_keys = SERVED
        .iter()
        .filter(|(key, _)| is_for(*key, context.peer.scope))
        .filter_map(|&(key, _)| {
            let versions = advertised(key)?;
            Some(ApiVersion {
                api_key: key.number(),
                min_version: versions.min,
                max_version: versions.max,
            })
        })
        .collect();
    let image = broker.metadata.image();
    // The quorum's own level stands in its records, and not in the image.
    let of_quorum = (KRAFT_VERSION, broker.controller.kraft_version());
    ApiVersionsResponse {
        api_keys,
        supported_features: SUPPORTED
            .iter()
            // A minimum of 0 means "may be switched off", which clients before version 4 misread.
            .filter(|feature| context.version >= 4 || feature.min_level > 0)
            .map(|feature| SupportedFeature {
                name: feature.name.into(),
                min_version: feature.min_level,
                max_version: feature.max_level,
            })
            .collect(),
        finalized_features_epoch: image.offset().0,
        finalized_features: image
            .features()
            .chain([of_quorum])
            .filter(|(_, level)| *level > 0)
            .map(|(name, level)| FinalizedFeature {
                name: name.into(),
                max_version_level: level,
                min_version_level: level,
            })
            .collect(),
        ..Default::default()
    }
}

fn is_valid_client(request: &ApiVersionsRequest) -> bool {
    is_valid_word(&request.client_software_name) && is_valid_word(&request.client_software_version)
}

/// Letters, digits, dots and dashes, with a letter or digit at both ends (KIP-511).
fn is_valid_word(word: &str) -> bool {
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = word.as_bytes();
    ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(inner)
}

#[cfg(test)]
mod tests {
    use super::is_valid_word;

    /// Clients with odd names would be refused, or log lines forged.
    #[test]
    fn client_words_follow_the_pattern() {
        for good in ["a", "librdkafka", "2.3.0", "apache-kafka-java", "4"] {
            assert!(is_valid_word(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "ä", "a\n", "."] {
            assert!(!is_valid_word(bad), "{bad}");
        }
    }
}
