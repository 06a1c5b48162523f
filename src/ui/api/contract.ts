import type { Auditor, AuditorAppointed, Consultation, Credential, CredentialMade } from './shapes-access.ts';
import type {
  Agreement,
  AlertMade,
  AlertTarget,
  AlertTried,
  BillingSettings,
  ContractChange,
  DatedTaxStatus,
  InvoicePreview,
  KeptBrand,
  Margin,
  Models,
  Outbox,
  OutboxTask,
  ScheduledRuns,
} from './shapes-desk.ts';
import type {
  KeyBudget,
  KeyHistory,
  KeyInfo,
  KeyLimits,
  KeyList,
  KeyMade,
  NewTenant,
  OpenedProject,
  Plan,
  TenantDetails,
} from './shapes-keys.ts';
import type {
  Invoice,
  InvoiceDetails,
  Listed,
  LoggedRequest,
  Overview,
  RunAnswer,
  TenantFigures,
  Usage,
} from './shapes-money.ts';
import type {
  Agency,
  Directory,
  Health,
  Invitation,
  Loose,
  PublicKey,
  Readiness,
  Seal,
  ServedModels,
  Session,
  UserList,
  Verification,
} from './shapes-people.ts';

/**
 * What the console reads and writes, as the API describes it. The console sees no more of the server
 * than this; test/ui/contract.test.ts compares every route and every member with /openapi.json.
 */
/** Reads: their answers by route. */
export interface Reads {
  'GET /api/session': Session;
  'GET /api/directory': Directory;
  'GET /api/overview': Overview;
  'GET /api/usage': Usage;
  'GET /api/requests': Listed<LoggedRequest>;
  'GET /api/tenant-figures': Listed<TenantFigures>;
  'GET /api/tenants/:id': TenantDetails;
  'GET /api/plans': Listed<Plan>;
  'GET /key/list': KeyList;
  'GET /key/info': KeyInfo;
  'GET /api/keys/:id/limits': KeyLimits;
  'GET /api/key-budgets': Listed<KeyBudget>;
  'GET /api/audit/keys/:id': KeyHistory;
  'GET /api/audit/public-key': PublicKey;
  'GET /api/audit/verification': Verification;
  'GET /api/audit/seals': Listed<Seal>;
  'GET /api/audit/credentials': Listed<Auditor>;
  'GET /api/audit/consultations': Listed<Consultation>;
  'GET /api/credentials': Listed<Credential>;
  'GET /api/invoices': Listed<Invoice>;
  'GET /api/invoices/:id': InvoiceDetails;
  'GET /api/invoices/:id/proof': Loose;
  'GET /api/reports/margin': Margin;
  'GET /api/agencies/:id/billing': BillingSettings;
  'GET /api/agencies/:id/brand': KeptBrand;
  'GET /api/agencies/:id/alerts': Listed<AlertTarget>;
  'GET /api/tenants/:id/contracts': Listed<Agreement>;
  'GET /api/agencies/:id/tax-status': Listed<DatedTaxStatus>;
  'GET /api/outbox': Outbox;
  'GET /api/invoice-runs': ScheduledRuns;
  'GET /model/info': Models;
  'GET /health': Health;
  'GET /health/readiness': Readiness;
  'GET /v1/models': ServedModels;
  'GET /user/list': UserList;
  'GET /api/agencies': Listed<Agency>;
}

/** Writes: their answers by route. */
export interface Writes {
  'POST /api/session': Session;
  'POST /api/session/invitation': Session;
  'DELETE /api/session': Loose;
  'DELETE /api/sessions': Loose;
  'POST /api/session/password': Loose;
  'POST /api/tenants': NewTenant;
  'POST /api/tenants/:id/contract/preview': ContractChange;
  'POST /api/tenants/:id/contract': ContractChange;
  'POST /api/projects': OpenedProject;
  'POST /key/generate': KeyMade;
  'POST /key/update': Loose;
  'POST /key/block': Loose;
  'POST /key/unblock': Loose;
  'POST /key/regenerate': KeyMade;
  'POST /key/delete': Loose;
  'POST /api/invoice-runs': RunAnswer;
  'POST /api/invoices/:id/paid': Loose;
  'POST /api/invoices/:id/sent': Loose;
  'POST /api/invoices/:id/cancel': Loose;
  'POST /api/audit/verification': Loose;
  'POST /api/audit/credentials': AuditorAppointed;
  'DELETE /api/audit/credentials/:id': Loose;
  'POST /api/credentials': CredentialMade;
  'DELETE /api/credentials/:id': Loose;
  'POST /api/invoices/preview': InvoicePreview;
  'POST /api/agencies/:id/alerts': AlertMade;
  'PUT /api/agencies/:id/alerts/:target': Loose;
  'DELETE /api/agencies/:id/alerts/:target': Loose;
  'POST /api/agencies/:id/alerts/:target/secret': AlertMade;
  'POST /api/agencies/:id/alerts/:target/test': AlertTried;
  'PUT /api/agencies/:id': Loose;
  'PUT /api/agencies/:id/brand': KeptBrand;
  'POST /api/agencies/:id/tax-status': Loose;
  'PUT /api/agencies/:id/billing': BillingSettings;
  'PUT /api/agencies/:id/stripe': BillingSettings;
  'DELETE /api/agencies/:id/stripe': BillingSettings;
  'POST /api/outbox/retry': OutboxTask;
  'POST /model/new': Loose;
  'PATCH /model/:model_id/update': Loose;
  'POST /model/delete': Loose;
  'POST /v1/chat/completions': Loose;
  'POST /user/new': Loose;
  'POST /user/delete': Loose;
  'POST /invitation/new': Invitation;
  'POST /organization/member_add': Loose;
}
