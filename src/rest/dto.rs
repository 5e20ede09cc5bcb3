//! The JSON of requests and answers: what is taken, how strictly, and what is shown.

mod request;
mod response;

pub(super) use request::{
    BodyError, CreateRequest, config_body, create_body, level_body, offsets_body, tasks_body,
};
pub(super) use response::{
    ConfigInfosBody, ConnectorInfoBody, ConnectorStatusBody, DefinitionBody, HealthBody, HealthDetails,
    LoggerBody, Message, PluginBody, ServerInfoBody, StartupStepBody, TaskBody, TaskStatusBody, offsets_json,
};
