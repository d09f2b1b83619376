// The program: runs every scenario with real Seata clients against one coordinator and says what held and what did not.
// Arguments: HOST:PORT of the coordinator, or several with ; between; JDBC URL, user and password of a MariaDB or MySQL for the AT scenarios; names of
// scenarios to leave out.
package interop;

import java.util.List;
import java.util.Set;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;

public final class Main {
    private static final Class<?>[] BEANS = {
        SeataScanner.class, CallLog.class, DebitAction.Recording.class, CreditAction.Recording.class, TransferService.class
    };

    private Main() {}

    public static void main(String[] args) throws Exception {
        if (!Offered.isOffered()) {
            System.out.println("not offered");
            System.exit(0);
        }
        var coordinator = new Coordinator(args[0]);
        var database = new Database(args[1], args[2], args[3]);
        var checks = new Checks(Set.copyOf(List.of(args).subList(4, args.length)));
        checks.run("start", ignored -> {
            coordinator.awaitPort();
            coordinator.useAsDefault();
            database.createTables();
            runScenarios(coordinator, database, checks);
        });
        // Seata's threads would keep the program alive.
        System.exit(checks.summary() ? 0 : 1);
    }

    private static void runScenarios(Coordinator coordinator, Database database, Checks checks) throws Exception {
        var spring = new AnnotationConfigApplicationContext(BEANS);
        coordinator.awaitAnswer();
        var transfers = new Transfers(spring.getBean(TransferService.class), spring.getBean(CallLog.class));
        var accounts = new AtAccounts(database);
        checks.run("tm", new TmScenario());
        checks.run("tcc", new TccScenario(transfers));
        checks.run("parallel", new ParallelScenario(transfers));
        checks.run("at", new AtScenario(database, accounts));
        checks.run("gateways", new GatewaysScenario(database, accounts));
        checks.run("lock", new LockScenario(database, accounts));
        checks.run("timeout", new TimeoutScenario(database, accounts));
        checks.run("order", new OrderScenario(transfers, database, accounts));
        checks.run("xa", new XaScenario(database));
        checks.run("saga", new SagaScenario(spring, database));
        checks.run("reconnect", new ReconnectScenario(database, accounts));
    }
}
