#!/bin/bash
# Roles and database of Syncline, made once, when the data folder is empty (image `postgres`).
#   syncline_owner     owns the schema, migrates, passes row-level security
#   syncline_app       what services connect as: no superuser, no BYPASSRLS; NOINHERIT, so that
#   syncline_dispatch  is taken only by SET ROLE, for the few statements that see all companies
# The same statements without passwords are in README.md, for a database of your own.
set -euo pipefail
psql -X -v ON_ERROR_STOP=1 -v owner_password="${OWNER_PASSWORD:?}" -v app_password="${APP_PASSWORD:?}" \
  --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE syncline_owner LOGIN BYPASSRLS NOSUPERUSER PASSWORD :'owner_password';
CREATE ROLE syncline_app LOGIN NOINHERIT NOBYPASSRLS NOSUPERUSER PASSWORD :'app_password';
CREATE ROLE syncline_dispatch NOLOGIN NOSUPERUSER;
GRANT syncline_dispatch TO syncline_app;
CREATE DATABASE syncline OWNER syncline_owner;
REVOKE ALL ON DATABASE syncline FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE syncline TO syncline_app;
SQL
