/** Credentials of programs and auditors, as the API shows them. See contract.ts. */
export interface Credential {
  readonly id: string;
  readonly name: string | null;
  readonly role: string;
  readonly tenant_id: string | null;
  readonly key_id: string;
  readonly key_name: string;
  readonly status: string;
  readonly expires_at: string | null;
  readonly created_at: string;
}

export interface CredentialMade {
  readonly id: string;
  readonly secret: string;
}

export interface Auditor {
  readonly id: string;
  readonly scope: string;
  readonly scope_id: string;
  readonly key_name: string;
  readonly status: string;
  readonly expires_at: string | null;
  readonly appointed_at: string;
  readonly consultations: number;
  readonly last_consulted_at: string | null;
}

export interface AuditorAppointed {
  readonly id: string;
  readonly secret: string;
}

export interface Consultation {
  readonly position: string;
  readonly auditor_id: string;
  readonly at: string;
  readonly route: string;
  readonly subject: string | null;
}
