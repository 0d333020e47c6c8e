//! `sink`: takes every message of the queue and does nothing with it, until it is killed. Somebody must take
//! bells off while bulk enqueue is measured, because the product's relay holds back what nobody takes.

use anyhow::{Result, bail};
use futures::StreamExt as _;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;

use crate::{Numbers, servers};

/// Runs until killed; with `--declare 1` makes the queue first.
pub async fn run(numbers: &Numbers) -> Result<()> {
    let connection = servers::broker().await?;
    let channel = connection.create_channel().await?;
    if numbers.get("declare")? == 1 {
        servers::declare(&channel).await?;
    }
    // Quorum queues limit how much is on its way also where nothing is acknowledged.
    channel.basic_qos(2000, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let name = servers::queue()?.into();
    let mut consumer = channel.basic_consume(name, "".into(), options, FieldTable::default()).await?;
    println!("consuming");
    while let Some(delivery) = consumer.next().await {
        delivery?;
    }
    bail!("the consumer ended")
}
