// SAGA: branches and reports through Seata's own resource manager, then its state machine: one that succeeds, and one that compensates.
package interop;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.seata.core.model.BranchType;
import org.apache.seata.core.model.GlobalStatus;
import org.apache.seata.rm.DefaultResourceManager;
import org.apache.seata.saga.engine.StateMachineEngine;
import org.apache.seata.saga.engine.config.DbStateMachineConfig;
import org.apache.seata.saga.engine.impl.ProcessCtrlStateMachineEngine;
import org.apache.seata.saga.rm.StateMachineEngineHolder;
import org.apache.seata.saga.statelang.domain.ExecutionStatus;
import org.apache.seata.saga.statelang.domain.StateMachine;
import org.apache.seata.saga.statelang.parser.StateMachineParserFactory;
import org.apache.seata.tm.TransactionManagerHolder;
import org.springframework.context.support.GenericApplicationContext;

final class SagaScenario implements Checks.Scenario {
    private static final String APPLICATION = "interop";
    private static final String GROUP = "default_tx_group";
    private static final String MACHINE = "order";
    private static final String JSON = "jackson";
    /** As Seata's own script for MySQL has them. */
    private static final String[] TABLES = {
        "DROP TABLE IF EXISTS seata_state_machine_def",
        "CREATE TABLE seata_state_machine_def (id VARCHAR(32) PRIMARY KEY, name VARCHAR(128) NOT NULL,"
                + " tenant_id VARCHAR(32) NOT NULL, app_name VARCHAR(32) NOT NULL, type VARCHAR(20),"
                + " comment_ VARCHAR(255), ver VARCHAR(16) NOT NULL, gmt_create DATETIME(3) NOT NULL,"
                + " status VARCHAR(2) NOT NULL, content TEXT, recover_strategy VARCHAR(16))",
        "DROP TABLE IF EXISTS seata_state_machine_inst",
        "CREATE TABLE seata_state_machine_inst (id VARCHAR(128) PRIMARY KEY, machine_id VARCHAR(32) NOT NULL,"
                + " tenant_id VARCHAR(32) NOT NULL, parent_id VARCHAR(128), gmt_started DATETIME(3) NOT NULL,"
                + " business_key VARCHAR(48), start_params TEXT, gmt_end DATETIME(3), excep BLOB, end_params TEXT,"
                + " status VARCHAR(2), compensation_status VARCHAR(2), is_running TINYINT(1),"
                + " gmt_updated DATETIME(3) NOT NULL, UNIQUE KEY (business_key, tenant_id))",
        "DROP TABLE IF EXISTS seata_state_inst",
        "CREATE TABLE seata_state_inst (id VARCHAR(48) NOT NULL, machine_inst_id VARCHAR(128) NOT NULL,"
                + " name VARCHAR(128) NOT NULL, type VARCHAR(20), service_name VARCHAR(128),"
                + " service_method VARCHAR(128), service_type VARCHAR(16), business_key VARCHAR(48),"
                + " state_id_compensated_for VARCHAR(50), state_id_retried_for VARCHAR(50),"
                + " gmt_started DATETIME(3) NOT NULL, is_for_update TINYINT(1), input_params TEXT,"
                + " output_params TEXT, status VARCHAR(2) NOT NULL, excep BLOB, gmt_updated DATETIME(3),"
                + " gmt_end DATETIME(3), PRIMARY KEY (id, machine_inst_id))"
    };

    private final GenericApplicationContext spring;
    private final Database database;
    private final SagaSteps steps = new SagaSteps();

    SagaScenario(GenericApplicationContext spring, Database database) {
        this.spring = spring;
        this.database = database;
    }

    @Override
    public void run(Checks checks) throws Exception {
        database.execute(TABLES);
        spring.getBeanFactory().registerSingleton("sagaSteps", steps);
        StateMachineEngine engine = engine();
        reports(checks);

        var succeeded = engine.start(MACHINE, null, Map.of("amount", 3, "fails", false));
        checks.equal("machine", succeeded.getStatus(), ExecutionStatus.SU);
        checks.equal("steps", steps.calls(), List.of("reserve 3", "charge 3"));
        new Transaction(succeeded.getId()).checkEnd(checks, GlobalStatus.Committed);

        steps.start();
        var failed = engine.start(MACHINE, null, Map.of("amount", 5, "fails", true));
        checks.equal("compensation of a machine that fails", failed.getCompensationStatus(), ExecutionStatus.SU);
        checks.equal("steps of it", steps.calls(), List.of("reserve 5", "charge 5", "refund 5", "release 5"));
        new Transaction(failed.getId()).checkEnd(checks, GlobalStatus.Rollbacked);
    }

    /** A saga whose outcome the client reports: the coordinator takes it over, without phase two. */
    private void reports(Checks checks) throws Exception {
        Transaction saga = Transaction.begin("saga by hand");
        long branch = DefaultResourceManager.get()
                .branchRegister(BranchType.SAGA, APPLICATION + "#" + GROUP, null, saga.xid(), null, null);
        checks.equal("a branch is registered", branch != 0, true);
        var reported = TransactionManagerHolder.get().globalReport(saga.xid(), GlobalStatus.Committed);
        checks.equal("report", reported, GlobalStatus.Committed);
        saga.checkEnd(checks, GlobalStatus.Committed);
    }

    private StateMachineEngine engine() throws Exception {
        var config = new DbStateMachineConfig();
        config.setApplicationContext(spring);
        config.setDataSource(database.dataSource());
        config.setDbType("mysql");
        config.setApplicationId(APPLICATION);
        config.setTxServiceGroup(GROUP);
        config.setSagaJsonParser(JSON);
        config.setSagaBranchRegisterEnable(true);
        config.afterPropertiesSet();
        var engine = new ProcessCtrlStateMachineEngine();
        engine.setStateMachineConfig(config);
        new StateMachineEngineHolder().setStateMachineEngine(engine);
        try (var json = SagaScenario.class.getResourceAsStream("/saga.json")) {
            String text = new String(json.readAllBytes(), StandardCharsets.UTF_8);
            StateMachine machine = StateMachineParserFactory.getStateMachineParser(JSON).parse(text);
            machine.setContent(text);
            machine.setTenantId(config.getDefaultTenantId());
            register(config.getStateMachineRepository(), machine);
        }
        return engine;
    }

    /** The method got another name with 2.6. */
    private static void register(Object repository, StateMachine machine) throws ReflectiveOperationException {
        var names = List.of("registryStateMachine", "registerStateMachine");
        var method = Arrays.stream(repository.getClass().getMethods())
                .filter(m -> names.contains(m.getName()))
                .findFirst()
                .orElseThrow();
        method.invoke(repository, machine);
    }
}
