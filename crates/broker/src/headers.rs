//! Message headers: trace context on the way out and in, and all of them as JSON for the archive.

use chassis::trace::TraceContext;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Deepest nesting that is archived; `x-death` needs three levels.
const MAX_DEPTH: usize = 8;

/// W3C trace context and company, as long strings.
pub(crate) fn outgoing(trace: &TraceContext, company: Uuid) -> FieldTable {
    let mut table = FieldTable::default();
    let fields = [
        ("traceparent", trace.traceparent.clone()),
        ("tracestate", trace.tracestate.clone()),
        ("company_id", Some(company.to_string())),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            table.insert(name.into(), AMQPValue::LongString(value.into()));
        }
    }
    table
}

/// The trace context of a received message; empty when there is none.
pub(crate) fn trace(table: &FieldTable) -> TraceContext {
    let text = |name: &str| match table.inner().get(name) {
        Some(AMQPValue::LongString(value)) => String::from_utf8(value.as_bytes().to_vec()).ok(),
        Some(AMQPValue::ShortString(value)) => Some(value.as_str().to_owned()),
        _ => None,
    };
    TraceContext { traceparent: text("traceparent"), tracestate: text("tracestate") }
}

/// All headers as a JSON object.
pub(crate) fn to_json(table: &FieldTable) -> Value {
    object(table, 0)
}

fn object(table: &FieldTable, depth: usize) -> Value {
    let fields =
        table.inner().iter().map(|(name, field)| (name.as_str().to_owned(), value(field, depth + 1)));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn value(field: &AMQPValue, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return json!("(nested too deeply)");
    }
    match field {
        AMQPValue::Boolean(v) => json!(v),
        AMQPValue::ShortShortInt(v) => json!(v),
        AMQPValue::ShortShortUInt(v) => json!(v),
        AMQPValue::ShortInt(v) => json!(v),
        AMQPValue::ShortUInt(v) => json!(v),
        AMQPValue::LongInt(v) => json!(v),
        AMQPValue::LongUInt(v) => json!(v),
        AMQPValue::LongLongInt(v) => json!(v),
        AMQPValue::Float(v) => json!(v),
        AMQPValue::Double(v) => json!(v),
        AMQPValue::DecimalValue(v) => json!({ "scale": v.scale, "value": v.value }),
        AMQPValue::ShortString(v) => json!(v.as_str()),
        AMQPValue::LongString(v) => bytes(v.as_bytes()),
        AMQPValue::FieldArray(v) => v.as_slice().iter().map(|item| value(item, depth + 1)).collect(),
        AMQPValue::Timestamp(v) => json!(v),
        AMQPValue::FieldTable(v) => object(v, depth),
        AMQPValue::ByteArray(v) => bytes(v.as_slice()),
        AMQPValue::Void => Value::Null,
    }
}

/// Text as it is, without the NUL that PostgreSQL's jsonb refuses; what is not text, with marks.
fn bytes(bytes: &[u8]) -> Value {
    Value::from(String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_survives_and_everything_becomes_json() {
        let context = TraceContext {
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            tracestate: None,
        };
        let mut table = outgoing(&context, Uuid::nil());
        assert_eq!(trace(&table), context);
        let mut death = FieldTable::default();
        death.insert("count".into(), AMQPValue::LongLongInt(3));
        death.insert("reason".into(), AMQPValue::LongString("rejected\0".into()));
        table.insert("x-death".into(), AMQPValue::FieldArray(vec![AMQPValue::FieldTable(death)].into()));
        let json = to_json(&table);
        assert_eq!(json["x-death"], json!([{ "count": 3, "reason": "rejected\u{fffd}" }]));
        assert_eq!(json["company_id"], json!(Uuid::nil().to_string()));
    }
}
