import { useMemo } from 'react';
import type { ApiError } from './api/client.ts';
import { useTongue } from './context.tsx';
import { problemsOf, sentenceOf, worded } from './sentences.ts';

export function useSentence(): (error: ApiError) => string {
  const { language } = useTongue();
  return (error) => sentenceOf(error, language);
}

/** A sentence of the API that is no refusal, such as what a check found. */
export function useWorded(): (text: string) => string {
  const { language } = useTongue();
  return (text) => worded(text, language);
}

/** Complaints by field; `{}` while nothing is wrong. */
export function useProblems(error: ApiError | null | undefined): Readonly<Record<string, string>> {
  const { language } = useTongue();
  return useMemo(() => (error == null ? {} : problemsOf(error, language)), [error, language]);
}
