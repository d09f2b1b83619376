// Many transactions at once over the client's two connections: what waits there together is sent as one, where the client is set to do so.
package interop;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

final class ParallelScenario implements Checks.Scenario {
    private static final int THREADS = 8;
    private static final int TRANSACTIONS = 40;

    private final Transfers transfers;

    ParallelScenario(Transfers transfers) {
        this.transfers = transfers;
    }

    @Override
    public void run(Checks checks) throws Exception {
        transfers.start();
        var expected = new ArrayList<String>();
        var runs = new ArrayList<Future<?>>();
        var pool = Executors.newFixedThreadPool(THREADS);
        try {
            for (int i = 0; i < TRANSACTIONS; i++) {
                int debited = 100 + i;
                int credited = 1000 + i;
                boolean fails = i % 4 == 0;
                String verb = fails ? "rollback" : "commit";
                expected.add(verb + " debit " + debited);
                expected.add(verb + " credit " + credited);
                runs.add(pool.submit(() -> transfers.run(debited, credited, fails)));
            }
            for (var run : runs) {
                run.get();
            }
        } finally {
            pool.shutdown();
        }
        checks.eventually("wrong calls of " + TRANSACTIONS + " transactions", () -> wrong(expected), List.of());
    }

    /** What was called and should not have been, and the other way round. */
    private List<String> wrong(List<String> expected) {
        var wrong = new ArrayList<>(transfers.calls());
        for (String call : expected) {
            if (!wrong.remove(call)) {
                wrong.add("no " + call);
            }
        }
        return wrong;
    }
}
