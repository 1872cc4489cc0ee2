/**
 * better-sqlite3, with statements that are prepared once and kept. That is quicker; and Node 24.19 to 24.21 ends the process when a
 * statement of a better-sqlite3 that was built on the spot is collected as garbage (`node::ObjectWrap` asks for an environment in its
 * destructor, and there is none), or a database. So neither ever is: what was opened stays, closed, for the life of its thread.
 */
import Sqlite from 'better-sqlite3';

const kept: Database[] = [];

/** A connection. SQL must not be put together from values: each text is a statement that stays. */
export class Database extends Sqlite {
  readonly #statements = new Map<string, Sqlite.Statement>();

  /** @throws SqliteError when there is no such file, or it cannot be opened */
  constructor(path: string, options?: Sqlite.Options) {
    super(path, options);
    kept.push(this);
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
