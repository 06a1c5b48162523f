/** People, the installation and the audit, as the API shows them. See contract.ts. */
export interface SessionUser {
  readonly id: string;
  readonly email: string | null;
  readonly name: string | null;
}

export interface SessionTenant {
  readonly id: string;
  readonly name: string | null;
  readonly role: string;
}

export interface SessionAgency {
  readonly id: string;
  readonly name: string | null;
  readonly zone: string;
  readonly currency: string;
  readonly accent: string | null;
  readonly logo: string | null;
}

export interface Session {
  readonly user: SessionUser;
  readonly roles: readonly string[];
  readonly tenants: readonly SessionTenant[];
  readonly agency: SessionAgency;
  readonly expires_at: string | null;
}

export interface DirectoryTenant {
  readonly id: string;
  readonly name: string | null;
  readonly own: boolean;
  readonly status: string;
}

export interface DirectoryProject {
  readonly id: string;
  readonly name: string | null;
  readonly tenant_id: string;
  readonly status: string;
  readonly environments: readonly string[];
}

export interface Directory {
  readonly tenants: readonly DirectoryTenant[];
  readonly projects: readonly DirectoryProject[];
}

export interface Deployment {
  readonly model: string;
  readonly model_id: string;
  readonly error: string | null;
  readonly latency_ms: number | null;
  readonly cooldown_seconds: number | null;
}

export interface Health {
  readonly healthy_endpoints: readonly Deployment[];
  readonly unhealthy_endpoints: readonly Deployment[];
}

export interface ProjectionHealth {
  readonly name: string;
  readonly position: string;
  readonly lag: number;
  readonly error: string | null;
}

export interface Readiness {
  readonly status: 'healthy' | 'unhealthy';
  readonly db: string;
  readonly version: string;
  readonly position: string;
  readonly projections: readonly ProjectionHealth[];
}

export interface ServedModel {
  readonly id: string;
}

export interface ServedModels {
  readonly data: readonly ServedModel[];
}

export interface User {
  readonly user_id: string;
  readonly user_email: string | null;
  readonly user_alias: string | null;
  readonly user_role: string;
  readonly spend: number;
  readonly organizations: readonly string[];
  readonly key_count: number;
  readonly created_at: string;
}

export interface UserList {
  readonly users: readonly User[];
  readonly total: number;
  readonly page: number;
  readonly total_pages: number;
}

export interface Invitation {
  readonly id: string;
  readonly invitation_link: string;
  readonly expires_at: string;
}

export interface Agency {
  readonly id: string;
  readonly name: string | null;
  readonly currency: string;
  readonly zone: string;
  readonly invoice_series: string;
  readonly contact: Readonly<Record<string, unknown>>;
}

export interface PublicKey {
  readonly key_id: string;
  readonly algorithm: string;
  readonly public_key: string;
  readonly valid_from: string;
}

export interface Loose {
  readonly [name: string]: unknown;
}

export interface Seal {
  readonly position: string;
  readonly recorded_at: string;
  readonly covers_to: string;
  readonly hash: string;
  readonly key_id: string;
}

export interface FoundProblem {
  readonly position: string | null;
  readonly problem: string;
}

export interface VerificationCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  /** The first problems. */
  readonly at: readonly FoundProblem[];
}

export interface Verification {
  readonly status: 'none' | 'running' | 'done' | 'failed';
  readonly started_at: string | null;
  readonly part: string | null;
  readonly done: number;
  readonly total: number;
  readonly ok: boolean | null;
  readonly head: string | null;
  readonly sealed_to: string | null;
  readonly newest_seal: string | null;
  readonly events: number | null;
  readonly streams: number | null;
  readonly duration_ms: number | null;
  readonly checks: readonly VerificationCheck[];
}
