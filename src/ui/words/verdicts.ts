/** What a verification says it looked at, in German, by what the sentence is like; `$1` is what it counts. */
export const germanVerdicts: readonly (readonly [RegExp, string])[] = [
  [/^every position from (\d+) to (\d+) is there$/, 'Jede Position von $1 bis $2 ist da.'],
  [
    /^positions increase up to (\d+); this log does not count them$/,
    'Die Positionen steigen bis $1; dieses Log zählt sie nicht.',
  ],
  [
    /^(\d+) events in (\d+) streams: revisions without gaps, hashes hold and continue$/,
    '$1 Ereignisse in $2 Streams: Revisionen ohne Lücken, die Hashes stimmen und schließen aneinander an.',
  ],
  [/^every event can be read$/, 'Jedes Ereignis ist lesbar.'],
  [/^the times of recording do not run backwards$/, 'Die Zeiten der Aufzeichnung laufen nicht zurück.'],
  [/^no read model has seen more than the log has \((\d+)\)$/, 'Kein Lesemodell weiß mehr als das Log ($1).'],
  [/^(\d+) rows, at position (\d+)$/, '$1 Zeilen, an Position $2.'],
  [/^not compared$/, 'Nicht verglichen.'],
  [
    /^(\d+) keys spent (.+); usage: (.+) on invoices, (.+) open, (.+) in closed periods without an invoice$/,
    'Ausgaben von $1 Keys: $2. Nutzung: $3 auf Rechnungen, $4 offen, $5 in abgeschlossenen Zeiträumen ohne Rechnung.',
  ],
  [/^(\d+) seals hold; nothing is sealed$/, '$1 Siegel halten; versiegelt ist nichts.'],
  [/^(\d+) seals hold; sealed up to (\d+) of (\d+)$/, '$1 Siegel halten; versiegelt bis $2 von $3.'],
  [
    /^(\d+) seals hold, (\d+) reach out of the part that was read; sealed up to (\d+) of (\d+)$/,
    '$1 Siegel halten, $2 reichen über den gelesenen Teil hinaus; versiegelt bis $3 von $4.',
  ],
  [/^no key yet$/, 'Noch kein Schlüssel.'],
  [
    /^(\d+) seals are signed and continue each other; in force is the key (\S+), which you trust$/,
    '$1 Siegel sind signiert und schließen aneinander an; in Kraft ist der Schlüssel $2, dem Sie vertrauen.',
  ],
  [
    /^(\d+) seals are signed and continue each other; in force is the key (\S+), which the log itself names;.*$/,
    '$1 Siegel sind signiert und schließen aneinander an; in Kraft ist der Schlüssel $2, den das Log selbst nennt: Vergleichen Sie ihn mit einem, den Sie kennen.',
  ],
  [
    /^(\d+) finalised invoices computed again, documents unaltered, numbers 1 to N$/,
    '$1 fertige Rechnungen neu berechnet, Dokumente unverändert, Nummern 1 bis N.',
  ],
  [
    /^(\d+) finalised invoices computed again, documents unaltered, numbers 1 to N; (\d+) cancelled to zero$/,
    '$1 fertige Rechnungen neu berechnet, Dokumente unverändert, Nummern 1 bis N; $2 auf null storniert.',
  ],
  [
    /^(\d+) finalised invoices computed again, documents unaltered, numbers 1 to N; (\d+) drafts wait for their run to be repeated$/,
    '$1 fertige Rechnungen neu berechnet, Dokumente unverändert, Nummern 1 bis N; $2 Entwürfe warten auf eine Wiederholung ihres Laufs.',
  ],
  [/^(.+) does not continue the event before it$/, '$1 schließt nicht an das Ereignis davor an.'],
  [/^(.+) is not what was (?:sealed|stored): it was altered$/, '$1 wurde verändert.'],
  [
    /^(.+) is not under any seal: it was altered or put in$/,
    '$1 steht unter keinem Siegel: verändert oder eingefügt.',
  ],
  [/^(.+) follows revision (\d+): events are missing$/, '$1 folgt auf Revision $2: Ereignisse fehlen.'],
  [/^(.+) missing$/, '$1 fehlen.'],
  [
    /^the log ends at position (\d+) and not at (\d+)$/,
    'Das Log endet an Position $1 und nicht an Position $2.',
  ],
  [/^the seal was altered$/, 'Das Siegel wurde verändert.'],
  [
    /^the seal does not continue the one before it: a seal was removed or put in$/,
    'Das Siegel schließt nicht an das davor an: Eines wurde entfernt oder eingefügt.',
  ],
  [/^the seal is not signed by its key (\S+)$/, 'Das Siegel ist nicht mit seinem Schlüssel $1 signiert.'],
  [/^the document of (.+) was altered$/, 'Das Dokument zu $1 wurde verändert.'],
  [/^the document of (.+) is missing$/, 'Das Dokument zu $1 fehlt.'],
  [/^the sums of (\S+) do not follow from its lines$/, 'Die Summen von $1 folgen nicht aus den Zeilen.'],
  [/^the lines come to (\S+) nanos, the price is (\S+)$/, 'Die Zeilen ergeben $1 Nano, der Preis ist $2.'],
  [/^the row (.+)$/, 'Zeile $1'],
];
