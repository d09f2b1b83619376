// TCC: two resources through Seata's own TCC resource manager, committed, rolled back, and with a branch that refuses once.
package interop;

import java.util.List;
import org.apache.seata.core.model.GlobalStatus;

final class TccScenario implements Checks.Scenario {
    private final Transfers transfers;

    TccScenario(Transfers transfers) {
        this.transfers = transfers;
    }

    @Override
    public void run(Checks checks) throws Exception {
        Transaction committed = transfers.commit();
        checks.eventually("commit", transfers::sortedCalls, List.of("commit credit 9", "commit debit 7"));
        committed.checkEnd(checks, GlobalStatus.Committed);

        Transaction rolledBack = transfers.rollback();
        checks.eventually("rollback", transfers::sortedCalls, List.of("rollback credit 9", "rollback debit 7"));
        rolledBack.checkEnd(checks, GlobalStatus.Rollbacked);

        Transaction lateCommitted = transfers.commit("commit debit 7");
        checks.eventually("commit, refused once", transfers::sortedCalls,
                List.of("commit credit 9", "commit debit 7", "commit debit 7 refused"));
        lateCommitted.checkEnd(checks, GlobalStatus.Committed);

        Transaction lateRolledBack = transfers.rollback("rollback debit 7");
        checks.eventually("rollback, refused once", transfers::sortedCalls,
                List.of("rollback credit 9", "rollback debit 7", "rollback debit 7 refused"));
        lateRolledBack.checkEnd(checks, GlobalStatus.Rollbacked);
    }
}
