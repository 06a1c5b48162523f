import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

/** The console as static files under /ui/: nothing inline, names that change with their content. */
export default defineConfig({
  root: import.meta.dirname,
  base: '/ui/',
  plugins: [react(), tailwindcss()],
  logLevel: 'warn',
  build: {
    outDir: '../../dist/ui',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2023',
    reportCompressedSize: false,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
});
