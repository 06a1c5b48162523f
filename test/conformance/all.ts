import type { Case } from './case.ts';
import { sectionA } from './section-a.ts';
import { sectionB } from './section-b.ts';
import { sectionC } from './section-c.ts';
import { sectionE } from './section-e.ts';
import { sectionH } from './section-h.ts';

/** Every case there is, by section. */
export const sections: Readonly<Record<string, readonly Case[]>> = {
  'A. Key creation': sectionA,
  'B. Reading, listing, updating': sectionB,
  'C. Block, delete, rotate, reset': sectionC,
  'E. Budgets': sectionE,
  'H. Teams, users, customers, organizations, budgets': sectionH,
};
