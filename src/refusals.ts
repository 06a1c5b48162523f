/**
 * Every refusal this product can give, once: code, HTTP status, error type, and the sentence a
 * caller sees. `{name}` in a sentence is filled from the refusal's detail, so whatever is in the
 * detail is public: never put another tenant's data there. Types and statuses follow the LiteLLM
 * contract that management clients and OpenAI SDKs rely on. README.md lists the same codes; a test
 * compares the two.
 */
export const refusals = {
  // Authentication and access
  no_key: [401, 'auth_error', 'Authentication Error, No api key passed in.'],
  malformed_key: [
    401,
    'auth_error',
    'Authentication Error, Malformed API Key passed in. Ensure Key has `Bearer ` prefix.',
  ],
  not_a_virtual_key: [
    401,
    'auth_error',
    "Authentication Error, LiteLLM Virtual Key expected. Received={masked}, expected to start with 'sk-'.",
  ],
  unknown_key: [401, 'token_not_found_in_db', 'Authentication Error, Invalid API key passed in.'],
  key_blocked: [
    401,
    'auth_error',
    "Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin.",
  ],
  key_expired: [401, 'expired_key', 'Authentication Error - Expired Key. The key expired at {expiredAt}.'],
  project_blocked: [
    401,
    'auth_error',
    'Team={projectId} is blocked. Update via `/team/unblock` if your admin.',
  ],
  user_blocked: [401, 'auth_error', 'User={userId} is blocked.'],
  end_user_blocked: [403, 'permission_error', 'End User={endUser} is blocked from making requests.'],
  tenant_suspended: [
    403,
    'permission_error',
    'The contract behind this key is suspended. Please contact your provider.',
  ],
  contract_ended: [
    403,
    'permission_error',
    'The contract behind this key has ended. Please contact your provider.',
  ],
  tenant_unpaid: [
    403,
    'permission_error',
    'The keys of this contract are suspended, because the invoice {number} was not paid after several reminders. They work again as soon as the payment has arrived. Please contact whoever pays the invoices.',
  ],
  key_generation_denied: [403, 'auth_error', '{problem}'],
  login_failed: [401, 'auth_error', 'The name or the password is wrong.'],
  login_throttled: [
    429,
    'throttling_error',
    'There were too many attempts to sign in. Try again in {seconds} s.',
  ],
  too_many_streams: [
    429,
    'throttling_error',
    'Too many live streams are open. Close some of them, or ask for the figures themselves.',
  ],
  session_expired: [401, 'auth_error', 'The session has ended. Please sign in again.'],
  not_from_console: [
    403,
    'permission_error',
    'A change with the cookie of a session needs the header x-keyledger-console, from this server’s own pages.',
  ],
  two_credentials: [
    400,
    'bad_request_error',
    'The request carries more than one credential header ({headers}). Send exactly one.',
  ],
  duplicate_header: [400, 'bad_request_error', 'The header {header} was sent more than once.'],
  admin_only: [
    401,
    'auth_error',
    'Only proxy admin can be used to generate, delete, update info for new keys/users/teams. Route={route}. Your role={role}. Your user_id={userId}.',
  ],
  role_forbidden: [403, 'auth_error', 'Your role {role} does not allow {route}.'],
  not_yours: [403, 'auth_error', '{problem}'],
  member_permission: [
    401,
    'team_member_permission_error',
    'Members of the team {teamId} may not call {route}. Its admins can allow it with /team/permissions_update.',
  ],
  wider_than_maker: [
    403,
    'auth_error',
    'Nobody can give away more than they have: {field} is {allowed} for you, asked for {asked}.',
  ],
  route_not_allowed: [
    403,
    'auth_error',
    'Virtual key is not allowed to call this route. Only allowed to call routes: {allowed}. Tried to call route: {route}',
  ],
  model_not_allowed: [
    403,
    'key_model_access_denied',
    "The requested model '{model}' is not available for this API key, or the model name is invalid. Check the models available to you and try again.",
  ],
  project_model_not_allowed: [
    403,
    'team_model_access_denied',
    "The requested model '{model}' is not available for this project, or the model name is invalid. Check the models available to you and try again.",
  ],
  tenant_model_not_allowed: [
    403,
    'org_model_access_denied',
    "The requested model '{model}' is not part of your contract, or the model name is invalid. Check the models available to you and try again.",
  ],
  user_model_not_allowed: [
    403,
    'user_model_access_denied',
    "The requested model '{model}' is not available for this user, or the model name is invalid. Check the models available to you and try again.",
  ],
  end_user_model_not_allowed: [
    403,
    'key_model_access_denied',
    "The requested model '{model}' is not in the allowed models for this customer, or the model name is invalid.",
  ],
  tag_model_not_allowed: [
    403,
    'key_model_access_denied',
    "The requested model '{model}' is not available for a tag of this request, or the model name is invalid.",
  ],
  model_not_priced: [
    403,
    'org_model_access_denied',
    "The model '{model}' has no price in your contract, so it cannot be billed and is not served. Your provider can add one.",
  ],
  unit_not_priced: [
    403,
    'org_model_access_denied',
    "This request uses '{unit}', which has no price in your contract for this model, so it cannot be billed and is not served. Your provider can add one.",
  ],
  unknown_model: [
    400,
    'bad_request_error',
    'Invalid model name passed in model={model}. Call `/v1/models` to view available models for your key.',
  ],

  // Limits
  budget_exceeded: [
    422,
    'budget_exceeded',
    'Budget has been exceeded! {subject} Current cost: {spent}, Max budget: {limit}. This request needs up to {needed}. Limit resets at: {resetsAt}.',
  ],
  installation_budget_exceeded: [
    422,
    'budget_exceeded',
    'Budget has been exceeded! The budget of the whole installation is spent. Limit resets at: {resetsAt}.',
  ],
  provider_budget_exceeded: [
    429,
    'budget_exceeded',
    'No deployments available for selected model: the budget for its provider is spent. Limit resets at: {resetsAt}. Passed model={model}.',
  ],
  installation_busy: [
    429,
    'throttling_error',
    'Rate limit exceeded for the whole installation. Limit type: max_parallel_requests.',
  ],
  rate_limited: [
    429,
    'throttling_error',
    'Rate limit exceeded for {level}: {id}. Limit type: {kind}. Current limit: {limit}, Remaining: {remaining}. Limit resets at: {resetsAt}',
  ],
  included_usage_spent: [
    429,
    'throttling_error',
    'The usage that the contract of {level}: {id} includes is spent for this month; beyond it {limit} {kind} per minute are served, all keys together. Limit resets at: {resetsAt}. The full limits are back at {renewsAt}.',
  ],

  all_deployments_in_cooldown: [
    429,
    'all_deployments_in_cooldown',
    'No deployments available for selected model, Try again in {retryAfterSeconds} seconds. Passed model={model}.',
  ],

  // Input
  invalid_input: [422, 'validation_error', 'The request is not valid: {problems}'],
  malformed_json: [400, 'bad_request_error', 'The request body is not valid JSON: {problem}'],
  bad_request: [400, 'bad_request_error', '{problem}'],
  body_too_large: [
    413,
    'bad_request_error',
    'The request body is larger than the {limitBytes} bytes allowed.',
  ],
  missing_parameter: [
    400,
    'bad_request_error',
    'BadRequest please pass param={param} in request body. This is a required param.',
  ],
  unsupported_media_type: [
    415,
    'bad_request_error',
    'Send the body as application/json, or a file as multipart/form-data.',
  ],
  forbidden_parameter: [
    400,
    'bad_request_error',
    'The parameter {param} is not accepted from clients: upstream addresses and credentials are set by the administrator.',
  ],
  route_not_found: [404, 'not_found_error', 'There is no route {method} {path}.'],
  method_not_allowed: [
    405,
    'bad_request_error',
    'The route {path} does not take {method}. Allowed: {allowed}.',
  ],

  // Things and their states
  not_found: [404, 'not_found_error', 'No such {what}.'],
  key_not_found: [404, 'not_found_error', 'Key not found in database'],
  key_already_exists: [409, 'bad_request_error', 'A key with this secret or id already exists.'],
  alias_taken: [
    400,
    'bad_request_error',
    "Key with alias '{alias}' already exists. Unique key aliases across all keys are required.",
  ],
  secret_prefix: [400, 'bad_request_error', "The key must start with 'sk-'."],
  weak_secret: [
    400,
    'bad_request_error',
    'A key that you supply needs 16 to 200 characters, letters, digits, `-` and `_` only.',
  ],
  key_deleted: [404, 'not_found_error', 'This key was deleted; deletion is final.'],
  user_exists: [409, 'bad_request_error', 'A user with the id or e-mail {id} already exists.'],
  customer_exists: [400, 'bad_request_error', 'Customer already exists, passed user_id={id}.'],
  budget_exists: [400, 'bad_request_error', 'A budget with the id {id} already exists.'],
  tag_exists: [400, 'bad_request_error', 'Tag {id} already exists.'],
  model_exists: [400, 'bad_request_error', 'A model with the id {id} already exists.'],
  member_exists: [400, 'team_member_already_in_team', 'The user {userId} is already in the team.'],
  organization_member_exists: [
    400,
    'bad_request_error',
    'The user {userId} is already a member of the organization.',
  ],
  not_a_member: [400, 'bad_request_error', 'The user {userId} is not a member.'],
  invitation_used: [409, 'bad_request_error', 'The invitation is {status}.'],
  rotation_pending: [409, 'bad_request_error', 'No rotated secret waits for this key.'],
  tenant_exists: [409, 'bad_request_error', 'A tenant with this id already exists.'],
  contract_in_force: [
    409,
    'bad_request_error',
    'The organization has a contract, so what it used is still to be invoiced; it cannot be deleted.',
  ],
  no_contract: [409, 'bad_request_error', 'The tenant {tenantId} has no contract.'],
  notice_period: [
    409,
    'bad_request_error',
    'The contract has a notice period of {notice}: it can end at {earliest} at the earliest. Send waive_notice to end it sooner.',
  ],
  tenant_not_active: [409, 'bad_request_error', 'The tenant is {status}.'],
  project_exists: [400, 'bad_request_error', 'A project with the id {projectId} already exists.'],
  project_not_open: [409, 'bad_request_error', 'The project {projectId} is {status}.'],
  agency_exists: [409, 'bad_request_error', 'This agency is already registered.'],
  currency_in_use: [
    409,
    'bad_request_error',
    'There are contracts in {currency}, so the currency of the agency cannot change.',
  ],
  contract_forbids: [
    400,
    'bad_request_error',
    'The contract of this tenant does not allow it: {term} is {allowed} in {environment}, asked for {asked}.',
  ],
  key_rule: [
    400,
    'bad_request_error',
    'The contract of this tenant does not allow it: {rule} is {allowed}, asked for {asked}.',
  ],
  plan_version_immutable: [
    409,
    'bad_request_error',
    'Version {version} of plan {plan} is published and cannot change. Raise the version.',
  ],
  plan_version_order: [
    409,
    'bad_request_error',
    'The plan {plan} is at version {published}; version {version} cannot follow it.',
  ],
  period_not_started: [400, 'bad_request_error', 'The period {period} has not started yet in {zone}.'],
  invoice_state: [409, 'bad_request_error', 'The invoice is {status}.'],
  tax_case_unsupported: [
    409,
    'bad_request_error',
    'The tax treatment of a recipient in {country} is not available; the invoice was not made.',
  ],
  invoice_incomplete: [
    409,
    'bad_request_error',
    'The invoice was not made, because the law asks for more about its {party}: {missing}.',
  ],
  vat_id_unchecked: [
    409,
    'bad_request_error',
    'The invoice was not made: reverse charge needs a valid, checked VAT id of the recipient, and the id of {tenantId} {problem}. Check it with POST /api/tenants/{tenantId}/vat-checks.',
  ],
  vat_check_unavailable: [
    502,
    'internal_server_error',
    'The VAT id could not be checked, because VIES did not answer: {problem}. Try again later, or record a check that was made by hand.',
  ],
  tax_case_changed: [
    409,
    'bad_request_error',
    'The invoice was drafted as {drafted}, and its recipient is now {current}. Put the contact back, finish the invoice, and correct it then.',
  ],
  e_invoice_rule: [
    409,
    'bad_request_error',
    'The invoice breaks the rule {rule} of {standard}: {field}. Others: {more}.',
  ],
  link_invalid: [403, 'permission_error', 'This link is not valid, or it has expired. Ask for a new one.'],
  webhook_invalid: [
    400,
    'bad_request_error',
    'The signature of this message does not hold, or it is too old. Nothing was done.',
  ],
  collector_unavailable: [
    502,
    'internal_server_error',
    'The payment provider did not accept this: {problem}',
  ],
  secret_unreadable: [
    409,
    'conflict_error',
    'A secret that was kept cannot be read, because LITELLM_SALT_KEY is another one. Set the secret anew.',
  ],
  invoice_run_busy: [
    409,
    'conflict_error',
    'An invoice run of agency {agencyId} is at work. Repeat this when it has ended: the result is the same.',
  ],

  // Races and repetition
  stream_changed: [
    409,
    'conflict_error',
    'Someone else changed this at the same time. Read it again and retry.',
  ],
  idempotency_key_reused: [
    422,
    'conflict_error',
    'This Idempotency-Key was used for another request. Use a fresh key, or repeat the first request as it was.',
  ],

  // Availability
  upstream_unavailable: [502, 'internal_server_error', 'The model endpoint could not be reached.'],
  upstream_timeout: [504, 'internal_server_error', 'The model endpoint did not answer within {seconds} s.'],
  upstream_invalid: [502, 'internal_server_error', 'The model endpoint answered with something unreadable.'],
  log_unavailable: [
    503,
    'no_db_connection',
    'Usage cannot be recorded right now, so nothing is served. Retry in {retryAfterSeconds} s.',
  ],
  database_unavailable: [503, 'no_db_connection', 'The database cannot be reached right now. Please retry.'],
  stale_read: [
    503,
    'no_db_connection',
    'The read model did not reach position {position} in time. Please retry.',
  ],
  key_table_stale: [503, 'no_db_connection', 'Keys cannot be verified right now. Please retry.'],
  shutting_down: [503, 'no_db_connection', 'The server is shutting down. Please retry.'],
} as const satisfies Record<string, readonly [status: number, type: string, message: string]>;
