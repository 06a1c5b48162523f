export function Alerts(_: { readonly agencyId: string }) {
  return null;
}
