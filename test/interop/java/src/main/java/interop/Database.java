// The database seen by plain JDBC, past Seata: makes the tables, and tells what is really in them.
package interop;

import com.mysql.cj.jdbc.MysqlDataSource;
import java.sql.SQLException;
import java.util.Map;
import java.util.TreeMap;
import javax.sql.DataSource;

final class Database {
    private static final String[] TABLES = {
        "DROP TABLE IF EXISTS account",
        "CREATE TABLE account (id INT PRIMARY KEY, balance INT NOT NULL)",
        "INSERT INTO account VALUES (1, 100), (2, 100), (3, 100)",
        "CREATE TABLE IF NOT EXISTS xa_account (id INT PRIMARY KEY, balance INT NOT NULL)",
        "REPLACE INTO xa_account VALUES (1, 100), (2, 100)",
        "DROP TABLE IF EXISTS undo_log",
        // As Seata's own script for MySQL has it.
        """
        CREATE TABLE undo_log (
          branch_id BIGINT NOT NULL,
          xid VARCHAR(128) NOT NULL,
          context VARCHAR(128) NOT NULL,
          rollback_info LONGBLOB NOT NULL,
          log_status INT NOT NULL,
          log_created DATETIME(6) NOT NULL,
          log_modified DATETIME(6) NOT NULL,
          UNIQUE KEY ux_undo_log (xid, branch_id)
        )
        """
    };

    private final MysqlDataSource dataSource = new MysqlDataSource();

    Database(String url, String user, String password) {
        dataSource.setUrl(url);
        dataSource.setUser(user);
        dataSource.setPassword(password);
    }

    DataSource dataSource() {
        return dataSource;
    }

    void createTables() throws SQLException {
        execute(TABLES);
    }

    void execute(String... statements) throws SQLException {
        try (var connection = dataSource.getConnection(); var statement = connection.createStatement()) {
            for (String sql : statements) {
                statement.execute(sql);
            }
        }
    }

    /** All accounts: id to balance. */
    Map<Integer, Integer> balances() throws SQLException {
        return balances("account");
    }

    Map<Integer, Integer> balances(String table) throws SQLException {
        try (var connection = dataSource.getConnection();
                var statement = connection.createStatement();
                var rows = statement.executeQuery("SELECT id, balance FROM " + table)) {
            var balances = new TreeMap<Integer, Integer>();
            while (rows.next()) {
                balances.put(rows.getInt(1), rows.getInt(2));
            }
            return balances;
        }
    }

    int undoLogs() throws SQLException {
        try (var connection = dataSource.getConnection();
                var statement = connection.createStatement();
                var rows = statement.executeQuery("SELECT COUNT(*) FROM undo_log")) {
            rows.next();
            return rows.getInt(1);
        }
    }
}
