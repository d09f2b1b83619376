// The order of phase two: commit as the branches were registered, rollback the other way round. A row that two branches of
// one transaction changed can only be undone so. (Seata's own server 2.0.0 fails this: apache/incubator-seata#6120.)
package interop;

import java.util.List;
import org.apache.seata.core.model.GlobalStatus;

final class OrderScenario implements Checks.Scenario {
    private final Transfers transfers;
    private final Database database;
    private final AtAccounts accounts;

    OrderScenario(Transfers transfers, Database database, AtAccounts accounts) {
        this.transfers = transfers;
        this.database = database;
        this.accounts = accounts;
    }

    @Override
    public void run(Checks checks) throws Exception {
        transfers.commit();
        checks.eventually("tcc commit", transfers::calls, List.of("commit debit 7", "commit credit 9"));
        transfers.rollback();
        checks.eventually("tcc rollback", transfers::calls, List.of("rollback credit 9", "rollback debit 7"));

        var before = database.balances();
        Transaction transaction = Transaction.begin("a row twice");
        transaction.run(() -> {
            accounts.add(3, -4);
            accounts.add(3, -6);
        });
        checks.equal("at rollback of a row changed twice", transaction.rollback(), GlobalStatus.Rollbacked);
        checks.equal("accounts after the rollback", database.balances(), before);
        transaction.checkEnd(checks, GlobalStatus.Rollbacked);
    }
}
