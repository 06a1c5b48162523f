-- Whose deployment has served under an id, as far as budgets of providers have to know: a deployment that is no
-- longer configured has spent what it has spent. One whose provider was changed counts for both, so that neither
-- budget lets more through than it says.
create table deployment_providers (
  provider   text not null,
  deployment text not null,
  primary key (provider, deployment)
);
