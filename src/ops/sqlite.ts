/**
 * better-sqlite3, with statements that are prepared once and kept: that is quicker. And Node 24 ends the process, from 24.19 on, when a
 * statement or a database of a better-sqlite3 that was built on the spot is collected as garbage (`node::ObjectWrap` asks for an environment
 * in its destructor, and there is none). So neither is, there: what was opened stays, closed, for the life of its thread; and nobody uses
 * `iterate`, which makes more of them.
 */
import Sqlite from 'better-sqlite3';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const COLLECTING_ABORTS = major === 24 && minor >= 19;
/** Two kilobytes for each that was opened. */
const kept: Database[] = [];

/** A connection. SQL must not be put together from values: each text is a statement that stays. */
export class Database extends Sqlite {
  readonly #statements = new Map<string, Sqlite.Statement>();

  /** @throws SqliteError when there is no such file, or it cannot be opened */
  constructor(path: string, options?: Sqlite.Options) {
    super(path, options);
    if (COLLECTING_ABORTS) kept.push(this);
  }

  override prepare: Sqlite.Database['prepare'] = (sql: string) => {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = super.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement as never;
  };

  override pragma(source: string, { simple = false }: Sqlite.PragmaOptions = {}): unknown {
    const statement = this.prepare(`PRAGMA ${source}`);
    if (statement.reader) return simple ? statement.pluck(true).get() : statement.pluck(false).all();
    statement.run();
    return simple ? undefined : [];
  }
}
