// XA: branches on a real database through Seata's DataSourceProxyXA; committed, rolled back, and with a statement that fails.
package interop;

import java.sql.SQLException;
import java.util.Map;
import org.apache.seata.core.model.GlobalStatus;
import org.apache.seata.rm.datasource.xa.DataSourceProxyXA;

final class XaScenario implements Checks.Scenario {
    private static final String TABLE = "xa_account";

    private final Database database;
    private DataSourceProxyXA accounts;

    XaScenario(Database database) {
        this.database = database;
    }

    @Override
    public void run(Checks checks) throws Exception {
        accounts = new DataSourceProxyXA(database.dataSource());
        Transaction committed = Transaction.begin("xa commit");
        committed.run(() -> {
            add(1, -10);
            add(2, 10);
        });
        checks.equal("before the commit nothing is seen", database.balances(TABLE), Map.of(1, 100, 2, 100));
        checks.equal("commit", committed.commit(), GlobalStatus.Committed);
        checks.eventually("accounts after the commit", this::balances, Map.of(1, 90, 2, 110));
        committed.checkEnd(checks, GlobalStatus.Committed);

        Transaction rolledBack = Transaction.begin("xa rollback");
        rolledBack.run(() -> {
            add(1, -20);
            add(2, 20);
        });
        checks.equal("rollback", rolledBack.rollback(), GlobalStatus.Rollbacked);
        checks.eventually("accounts after the rollback", this::balances, Map.of(1, 90, 2, 110));
        rolledBack.checkEnd(checks, GlobalStatus.Rollbacked);

        Transaction failing = Transaction.begin("xa with a failing statement");
        failing.run(() -> {
            add(1, -30);
            checks.equal("a statement fails", fails("INSERT INTO xa_account VALUES (2, 0)"), true);
        });
        checks.equal("rollback after the failure", failing.rollback(), GlobalStatus.Rollbacked);
        checks.eventually("accounts after the failure", this::balances, Map.of(1, 90, 2, 110));
        add(1, 1);
        checks.equal("the row is free", balances(), Map.of(1, 91, 2, 110));
    }

    private Map<Integer, Integer> balances() throws SQLException {
        return database.balances(TABLE);
    }

    private void add(int id, int amount) throws SQLException {
        execute("UPDATE xa_account SET balance = balance + (" + amount + ") WHERE id = " + id);
    }

    private boolean fails(String sql) {
        try {
            execute(sql);
            return false;
        } catch (SQLException e) {
            return true;
        }
    }

    private void execute(String sql) throws SQLException {
        try (var connection = accounts.getConnection(); var statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }
}
