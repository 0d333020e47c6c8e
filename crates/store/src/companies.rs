//! Companies (organizations) and their users.

use domain::ids::CompanyId;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// Creates or renames a company; call it in that company's own tenant transaction. True when it is new.
///
/// # Errors
/// As every statement.
pub async fn put(tx: &mut Tx, company: CompanyId, name: &str) -> Result<bool> {
    sqlx::query_scalar!(
        r#"INSERT INTO companies (id, name) VALUES ($1, $2)
           ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING (xmax = 0) AS "new!""#,
        company.uuid(),
        name,
    )
    .fetch_one(tx.conn())
    .await
    .doing("writing a company")
}

/// Name of the company; `None` when there is no such company.
///
/// # Errors
/// As every statement.
pub async fn name(tx: &mut Tx, company: CompanyId) -> Result<Option<String>> {
    sqlx::query_scalar!("SELECT name FROM companies WHERE id = $1", company.uuid())
        .fetch_optional(tx.conn())
        .await
        .doing("reading a company")
}

/// Ids of all companies: in a dispatch transaction.
///
/// # Errors
/// As every statement.
pub async fn all(tx: &mut Tx) -> Result<Vec<CompanyId>> {
    let ids = sqlx::query_scalar!("SELECT id FROM companies ORDER BY id")
        .fetch_all(tx.conn())
        .await
        .doing("listing companies")?;
    Ok(ids.into_iter().map(CompanyId).collect())
}

/// Creates a user or changes its role (`viewer`, `operator`, `admin`, `owner`). True when it is new.
///
/// # Errors
/// As every statement; [`crate::StoreError::Constraint`] for another role.
pub async fn put_user(
    tx: &mut Tx,
    company: CompanyId,
    user_id: &str,
    email: Option<&str>,
    role: &str,
) -> Result<bool> {
    sqlx::query_scalar!(
        r#"INSERT INTO company_users AS u (company_id, user_id, email, role) VALUES ($1, $2, $3, $4)
           ON CONFLICT (company_id, user_id) DO UPDATE
               SET role = excluded.role, email = coalesce(excluded.email, u.email)
           RETURNING (xmax = 0) AS "new!""#,
        company.uuid(),
        user_id,
        email,
        role,
    )
    .fetch_one(tx.conn())
    .await
    .doing("writing a user")
}
