// The accounts through Seata's DataSourceProxy: inside a global transaction each call is one AT branch.
package interop;

import java.sql.SQLException;
import org.apache.seata.rm.datasource.DataSourceProxy;

final class AtAccounts {
    private final DataSourceProxy dataSource;

    AtAccounts(Database database) {
        dataSource = new DataSourceProxy(database.dataSource());
    }

    void add(int id, int amount) throws SQLException {
        update("UPDATE account SET balance = balance + ? WHERE id = ?", amount, id);
    }

    void open(int id, int balance) throws SQLException {
        update("INSERT INTO account (id, balance) VALUES (?, ?)", id, balance);
    }

    void close(int id) throws SQLException {
        update("DELETE FROM account WHERE id = ?", id);
    }

    /** Two statements in one local transaction: one branch with two rows. */
    void transfer(int from, int to, int amount) throws SQLException {
        try (var connection = dataSource.getConnection()) {
            connection.setAutoCommit(false);
            try (var statement = connection.prepareStatement("UPDATE account SET balance = balance + ? WHERE id = ?")) {
                for (var change : new int[][] {{from, -amount}, {to, amount}}) {
                    statement.setInt(1, change[1]);
                    statement.setInt(2, change[0]);
                    statement.executeUpdate();
                }
            }
            connection.commit();
        }
    }

    /** Reads an account as one does who is about to change it; refused while another transaction holds the row. */
    int lock(int id) throws SQLException {
        try (var connection = dataSource.getConnection()) {
            connection.setAutoCommit(false);
            try (var statement = connection.prepareStatement("SELECT balance FROM account WHERE id = ? FOR UPDATE")) {
                statement.setInt(1, id);
                try (var rows = statement.executeQuery()) {
                    rows.next();
                    return rows.getInt(1);
                }
            } finally {
                connection.commit();
            }
        }
    }

    private void update(String sql, int... parameters) throws SQLException {
        try (var connection = dataSource.getConnection(); var statement = connection.prepareStatement(sql)) {
            for (int i = 0; i < parameters.length; i++) {
                statement.setInt(i + 1, parameters[i]);
            }
            statement.executeUpdate();
        }
    }
}
