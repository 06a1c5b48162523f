import type { Case } from './case.ts';
import { sectionA } from './section-a.ts';
import { sectionB } from './section-b.ts';
import { sectionC } from './section-c.ts';
import { sectionD } from './section-d.ts';
import { sectionE } from './section-e.ts';
import { sectionF } from './section-f.ts';
import { sectionG } from './section-g.ts';
import { sectionH } from './section-h.ts';

/** Every case there is, by section. */
export const sections: Readonly<Record<string, readonly Case[]>> = {
  'A. Key creation': sectionA,
  'B. Reading, listing, updating': sectionB,
  'C. Block, delete, rotate, reset': sectionC,
  'D. Data-plane authentication': sectionD,
  'E. Budgets': sectionE,
  'F. Rate limits': sectionF,
  'G. Spend and reporting': sectionG,
  'H. Teams, users, customers, organizations, budgets': sectionH,
};
