/** What the ids of API credentials begin with, before an underscore: each is a user of its own. */
export const CREDENTIAL_PREFIX = 'crd';
