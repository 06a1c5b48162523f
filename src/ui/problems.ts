import { useMemo } from 'react';
import type { ApiError } from './api/client.ts';
import { useTongue } from './context.tsx';
import { problemsOf, sentenceOf } from './sentences.ts';

export function useSentence(): (error: ApiError) => string {
  const { language } = useTongue();
  return (error) => sentenceOf(error, language);
}

/** Complaints by field; `{}` while nothing is wrong. */
export function useProblems(error: ApiError | null | undefined): Readonly<Record<string, string>> {
  const { language } = useTongue();
  return useMemo(() => (error == null ? {} : problemsOf(error, language)), [error, language]);
}
