/** What can be wrong with a field, by what the API's schema says about it. */
export const faultWords = {
  'fault.missing': ['This is needed', 'Diese Angabe fehlt'],
  'fault.too_small.string': ['At least {minimum} characters', 'Mindestens {minimum} Zeichen'],
  'fault.too_small.number': ['At least {minimum}', 'Mindestens {minimum}'],
  'fault.too_small.array': ['Choose at least {minimum}', 'Mindestens {minimum} auswählen'],
  'fault.too_big.string': ['At most {maximum} characters', 'Höchstens {maximum} Zeichen'],
  'fault.too_big.number': ['At most {maximum}', 'Höchstens {maximum}'],
  'fault.too_big.array': ['At most {maximum}', 'Höchstens {maximum}'],
  'fault.invalid_type': ['This is not of the expected kind', 'Das ist nicht von der erwarteten Art'],
  'fault.invalid_type.number': ['A number, please', 'Bitte eine Zahl'],
  'fault.invalid_type.integer': ['A whole number, please', 'Bitte eine ganze Zahl'],
  'fault.invalid_value': ['One of: {values}', 'Eins von: {values}'],
  'fault.invalid_format': ['This does not have the expected form', 'Das hat nicht die erwartete Form'],
  'fault.invalid_format.email': ['This is not an e-mail address', 'Das ist keine E-Mail-Adresse'],
  'fault.invalid_format.url': [
    'This is not an address such as https://…',
    'Das ist keine Adresse wie https://…',
  ],
  'fault.invalid_format.date': ['This is not a day', 'Das ist kein Datum'],
  'fault.invalid_format.date-time': ['This is not an instant', 'Das ist kein Zeitpunkt'],
  'fault.unrecognized_keys': ['This cannot be given here', 'Das lässt sich hier nicht angeben'],
  'fault.check': ['Please check what you entered:', 'Bitte prüfen Sie Ihre Eingaben:'],

  'refusal.admin_only': ['Only the administration may do this.', 'Das darf nur die Administration.'],
  'refusal.role_forbidden': ['Your role does not allow this.', 'Ihre Rolle erlaubt das nicht.'],
} as const;
