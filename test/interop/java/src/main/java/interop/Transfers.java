// Runs the TCC business method, and tells which calls of phase two it has led to.
package interop;

import java.util.List;

final class Transfers {
    private final TransferService service;
    private final CallLog log;

    Transfers(TransferService service, CallLog log) {
        this.service = service;
        this.log = log;
    }

    /** Debits 7 and credits 9; the first of the named calls of phase two, if any, refuses. */
    Transaction commit(String... refusing) {
        log.start(refusing);
        service.transfer(7, 9, false);
        return service.last();
    }

    Transaction rollback(String... refusing) {
        log.start(refusing);
        try {
            service.transfer(7, 9, true);
        } catch (RuntimeException expected) {
            // The transfer's own failure, or Seata's word that the rollback is to be tried again.
        }
        return service.last();
    }

    void start() {
        log.start();
    }

    /** One among many. */
    void run(int debited, int credited, boolean fails) {
        try {
            service.transfer(debited, credited, fails);
        } catch (RuntimeException e) {
            // 2.0.0 puts another exception around the transfer's own.
            if (!fails) {
                throw e;
            }
        }
    }

    List<String> calls() {
        return log.calls();
    }

    List<String> sortedCalls() {
        return log.calls().stream().sorted().toList();
    }
}
