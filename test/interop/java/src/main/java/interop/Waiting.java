// Waits for what another process will do.
package interop;

import java.time.Duration;
import java.util.function.BooleanSupplier;

final class Waiting {
    private static final long STEP_MILLIS = 50;

    private Waiting() {}

    /** Whether the condition became true within the time. */
    static boolean until(Duration limit, BooleanSupplier condition) throws InterruptedException {
        long end = System.nanoTime() + limit.toNanos();
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) {
                return false;
            }
            Thread.sleep(STEP_MILLIS);
        }
        return true;
    }
}
