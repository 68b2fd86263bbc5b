// Prints what the official AsyncAPI parser has to say about the document, one JSON list; exit 1 when it is not valid.
import { readFileSync } from 'node:fs'
import { Parser } from '@asyncapi/parser'

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'))
const found = diagnostics.map(({ code, severity, message, path }) => ({ code, severity, message, path: path.join('/') }))
process.stdout.write(JSON.stringify(found, null, 1) + '\n')
process.exitCode = document === undefined ? 1 : 0
